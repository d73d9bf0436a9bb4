//! Model rewrites: rules that send a request to a model server under another model than the client asked for.
//!
//! A rule names the requests that it is for, and the models among which they are split. It comes from the section `models`
//! of a routing, or from an InferenceModelRewrite or InferenceModel of the pool. The first rule that is for a request counts:
//! those of the routing in their order, then those of the cluster. What the client is told in the answer is the name that it
//! asked for.

use std::sync::Arc;

use bytes::Bytes;

use crate::edits::Edits;
use crate::refusal::{Refusal, RefusalKind};
use crate::request::{ModelPlace, Request, header};
use crate::view::View;

mod rule;
mod rules;
mod served;
mod share;
#[cfg(test)]
mod tests;

pub use rule::{HeaderMatch, MAX_NAME, Match, ModelMatch, Rule, Sticky, Target};
pub use rules::Rules;
pub(crate) use served::Served;
pub use served::{Unknown, is_served};
pub use share::Share;

/// Name of the rule by which a header names the model.
pub const HEADER: &str = "header";

/// What a strategy says of models: the section `models` of its routing.
#[derive(Clone, Debug, Default)]
pub struct ModelSettings {
    /// Its rules.
    pub rules: Rules,
    /// Whether the models are known that servers list.
    pub listed: bool,
    /// What becomes of requests for a model that no server lists.
    pub unknown: Unknown,
}

impl ModelSettings {
    /// Whether nothing is to be done for it.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && !self.listed
    }
}

/// A request's model as it was decided: what the server is told, and what the client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Name of the rule.
    pub rule: Arc<str>,
    /// The model that the client asked for; `None` for a request without one, or with one of more than [`MAX_NAME`] bytes.
    pub client: Option<Box<str>>,
    /// The model under which the request goes on.
    pub target: Arc<str>,
}

/// Gives `request` the model that the first rule for it says, `settings` before `cluster`, or else a header that is believed;
/// and the priority, where it names no objective. `None` when it goes on under its own name.
///
/// # Errors
/// When no server lists the model, and such requests are to be refused.
pub fn apply(
    settings: &ModelSettings,
    cluster: &Rules,
    request: &mut Request,
    names_objective: bool,
    view: &View,
) -> Result<Option<Rewrite>, Refusal> {
    let rule = settings.rules.of(request).or_else(|| cluster.of(request)).cloned();
    let (mut rewrite, mut has_target) = (None, false);
    if let Some(rule) = rule {
        if let (Some(priority), false) = (rule.priority, names_objective) {
            request.priority = priority;
        }
        if let Some(target) = rule.target(request) {
            let is_served = |model: &str| !settings.listed || is_served(view, model) != Some(false);
            let fallback = || target.fallbacks.iter().find(|model| is_served(model));
            let model = if is_served(&target.model) { None } else { fallback() };
            has_target = true;
            rewrite = put(&rule.name, model.unwrap_or(&target.model), request);
        }
    }
    if !has_target
        && request.trust.model_rewrite
        && let Some(model) = named(request)
    {
        rewrite = put(&HEADER.into(), &model, request);
    }
    if settings.listed
        && settings.unknown == Unknown::NotFound
        && let Some(model) = request.model()
        && is_served(view, model) == Some(false)
    {
        return Err(not_found(request, rewrite.as_ref()));
    }
    Ok(rewrite)
}

/// The refusal of a request for a model that no server lists, in the client's words.
fn not_found(request: &Request, rewrite: Option<&Rewrite>) -> Refusal {
    let asked = rewrite.map_or(request.model(), |rewrite| rewrite.client.as_deref()).unwrap_or_default();
    // A client chose it: of a bounded length.
    let asked = &asked[..asked.floor_char_boundary(256)];
    let message = format!("no model server has the model {asked:?}; ask for another one");
    Refusal::with(RefusalKind::UnknownModel, message)
}

/// The model that a header names, where it is a name.
fn named(request: &Request) -> Option<Arc<str>> {
    let name = header::MODEL_REWRITE.iter().find_map(|name| request.headers.text(name))?.trim();
    (!name.is_empty()).then(|| name.into())
}

/// Makes `target` the model of `request`, as `rule` says, if that is another than its own and can be written in its body.
fn put(rule: &Arc<str>, target: &Arc<str>, request: &mut Request) -> Option<Rewrite> {
    let client = request.model();
    if client == Some(target) || request.content.model_place == ModelPlace::Fixed {
        return None;
    }
    let client = client.filter(|name| name.len() <= MAX_NAME).map(Into::into);
    request.target_model = Some(target.clone());
    Some(Rewrite { rule: rule.clone(), client, target: target.clone() })
}

/// Adds to `edits` what writes the target of `request` in its body, so that nothing else of it changes.
pub fn write(request: &Request, edits: &mut Edits) {
    let Some(target) = &request.target_model else { return };
    let json = || serde_json::Value::from(&**target).to_string();
    let (range, text) = match &request.content.model_place {
        ModelPlace::Fixed => return,
        ModelPlace::Json { value } => {
            let quoted = json();
            (value.clone(), quoted[1..quoted.len() - 1].to_owned())
        }
        ModelPlace::Null { value } => (value.clone(), json()),
        ModelPlace::Form { value } => (value.clone(), target.to_string()),
        &ModelPlace::Absent { insert_at, object_is_empty } => {
            let comma = if object_is_empty { "" } else { "," };
            (insert_at..insert_at, format!("\"model\":{}{comma}", json()))
        }
    };
    edits.splice(range, Bytes::from(text));
}
