//! The section `models` of a routing: under which models requests go on, and which models there are.

use std::collections::HashSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Fields, wrong_type};
use super::{ConfigError, ErrorKind};
use crate::request::header;
use crate::rewrite::{
    HEADER, HeaderMatch, MAX_NAME, Match, ModelMatch, ModelSettings, Rule, Share, Sticky, Target, Unknown,
};

/// The most rules of a section.
const MAX_RULES: usize = 256;
/// The most targets of a rule, matches of a rule, headers of a match, and fallbacks of a target.
const MAX_PARTS: usize = 32;
/// The largest weight.
const MAX_WEIGHT: u32 = 1_000_000;

/// Under which models requests go on to model servers, and what becomes of requests for models that no server has.
///
/// The first rule that is for a request counts. Rules of InferenceModelRewrites and InferenceModels come after these. Clients
/// are answered under the name that they asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelsSpec {
    /// Whether the models are known that servers list, at `/v1/models` or where a `models-data-source` says. Then requests go
    /// only to servers that list their model, if any does; fallbacks take the place of targets that nobody lists; and `unknown`
    /// has an effect. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<bool>,
    /// What becomes of a request for a model that no server lists, when the lists of all servers are known: `Pass`, it goes on,
    /// and the server says what it thinks of it; or `NotFound`, it is refused with 404. Default: `Pass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<UnknownSpec>,
    /// The rules. The first that is for a request counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub rules: Vec<ModelRuleSpec>,
}

/// What becomes of a request for a model that no server lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnknownSpec {
    /// It goes on.
    Pass,
    /// It is refused with 404.
    NotFound,
}

/// A rule: which requests it is for, and the models among which it splits them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelRuleSpec {
    /// Its name, unique: for metrics and the log, and for its count of requests, which outlives changes of the routing.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// It is for requests to which one of these applies. Without any, it is for every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub matches: Vec<ModelMatchSpec>,
    /// The models, by weight. Without any, requests keep theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub targets: Vec<ModelTargetSpec>,
    /// What keeps requests with the same value at one target. Requests without a value, and all requests without this, are split
    /// so that the shares are exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickySpec>,
    /// The priority of requests that name no InferenceObjective, higher before lower; what is below 0 may be turned away under
    /// load. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// A condition on requests: all that is written of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelMatchSpec {
    /// The model that the client asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub model: Option<String>,
    /// The beginning of the name of the model that the client asks for, in place of `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub model_prefix: Option<String>,
    /// Headers that the request has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub headers: Vec<ModelHeaderSpec>,
    /// The beginning of the path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub path_prefix: Option<String>,
}

/// A header with its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelHeaderSpec {
    /// The name of the header.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its whole value.
    #[schemars(length(min = 1, max = 256))]
    pub value: String,
}

/// A model, and its part of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelTargetSpec {
    /// The model, as its servers know it.
    #[schemars(length(min = 1, max = 256))]
    pub model: String,
    /// How many requests it gets, in proportion to the weights of the other targets: 0 to 1,000,000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 1_000_000))]
    pub weight: Option<u32>,
    /// What takes its place when no server lists it, best first. For `listed: true`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub fallbacks: Vec<String>,
}

/// Where the value is by which requests stay at one target: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StickySpec {
    /// The name of a request header, for example that of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header: Option<String>,
    /// The name of a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cookie: Option<String>,
}

type Wrong<'e> = &'e mut Vec<ConfigError>;

/// Reads the section.
pub(super) fn read(value: &Value, errors: Wrong<'_>) -> ModelsSpec {
    let Some(mut fields) = Fields::open("models", value, errors) else { return ModelsSpec::default() };
    let spec = ModelsSpec {
        listed: fields.flag("listed", errors),
        unknown: unknown(&mut fields, errors),
        rules: fields.list("rules", errors, rule),
    };
    fields.close(errors);
    spec
}

fn unknown(fields: &mut Fields<'_>, errors: Wrong<'_>) -> Option<UnknownSpec> {
    let text = fields.string("unknown", errors)?;
    match text.as_str() {
        "Pass" => Some(UnknownSpec::Pass),
        "NotFound" => Some(UnknownSpec::NotFound),
        _ => {
            let value = Value::from(text);
            errors.push(wrong_type(&fields.at("unknown"), "Pass or NotFound", &value));
            None
        }
    }
}

fn rule(path: &str, value: &Value, errors: Wrong<'_>) -> ModelRuleSpec {
    let Some(mut fields) = Fields::open(path, value, errors) else { return ModelRuleSpec::default() };
    let spec = ModelRuleSpec {
        name: fields.required("name", errors).unwrap_or_default(),
        matches: fields.list("matches", errors, matching),
        targets: fields.list("targets", errors, target),
        sticky: fields
            .take("sticky")
            .filter(|value| !value.is_null())
            .map(|value| sticky(&fields.at("sticky"), value, errors)),
        priority: priority(&mut fields, errors),
    };
    fields.close(errors);
    spec
}

fn priority(fields: &mut Fields<'_>, errors: Wrong<'_>) -> Option<i32> {
    let number = fields.number("priority", errors)?;
    if number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number) {
        return Some(number as i32);
    }
    let message = "must be a whole number of 32 bits";
    errors.push(ConfigError::new(fields.at("priority"), ErrorKind::Invalid, message));
    None
}

fn matching(path: &str, value: &Value, errors: Wrong<'_>) -> ModelMatchSpec {
    let Some(mut fields) = Fields::open(path, value, errors) else { return ModelMatchSpec::default() };
    let spec = ModelMatchSpec {
        model: fields.string("model", errors),
        model_prefix: fields.string("modelPrefix", errors),
        headers: fields.list("headers", errors, |path, value, errors| {
            let Some(mut fields) = Fields::open(path, value, errors) else {
                return ModelHeaderSpec::default();
            };
            let name = fields.required("name", errors).unwrap_or_default();
            let value = fields.required("value", errors).unwrap_or_default();
            fields.close(errors);
            ModelHeaderSpec { name, value }
        }),
        path_prefix: fields.string("pathPrefix", errors),
    };
    fields.close(errors);
    spec
}

fn target(path: &str, value: &Value, errors: Wrong<'_>) -> ModelTargetSpec {
    let Some(mut fields) = Fields::open(path, value, errors) else { return ModelTargetSpec::default() };
    let spec = ModelTargetSpec {
        model: fields.required("model", errors).unwrap_or_default(),
        weight: fields.integer("weight", errors),
        fallbacks: fields.list("fallbacks", errors, |path, value, errors| match value {
            Value::String(text) if !text.is_empty() => text.clone(),
            other => {
                errors.push(wrong_type(path, "the name of a model", other));
                String::new()
            }
        }),
    };
    fields.close(errors);
    spec
}

fn sticky(path: &str, value: &Value, errors: Wrong<'_>) -> StickySpec {
    let Some(mut fields) = Fields::open(path, value, errors) else { return StickySpec::default() };
    let spec =
        StickySpec { header: fields.string("header", errors), cookie: fields.string("cookie", errors) };
    fields.close(errors);
    spec
}

impl ModelsSpec {
    /// What it says. `share` gives the count of the rule of a name.
    pub(crate) fn settings(
        &self,
        errors: &mut Vec<ConfigError>,
        warnings: &mut Vec<ConfigError>,
        mut share: impl FnMut(&str) -> Arc<Share>,
    ) -> ModelSettings {
        let listed = self.listed.unwrap_or_default();
        let unknown = match self.unknown {
            Some(UnknownSpec::NotFound) => Unknown::NotFound,
            Some(UnknownSpec::Pass) | None => Unknown::Pass,
        };
        if unknown == Unknown::NotFound && !listed {
            let message = "NotFound needs the lists of the servers; write listed: true beside it";
            errors.push(ConfigError::new("models.unknown", ErrorKind::Invalid, message));
        }
        too_many("models.rules", self.rules.len(), MAX_RULES, errors);
        let mut names = HashSet::new();
        let mut rules = Vec::with_capacity(self.rules.len());
        for (n, spec) in self.rules.iter().enumerate() {
            let path = format!("models.rules[{n}]");
            bounded(&format!("{path}.name"), &spec.name, errors);
            if spec.name == HEADER || spec.name.contains('/') {
                let message = format!(
                    "must not be {HEADER:?}, nor have a /: the picker names other rules so; choose another name"
                );
                errors.push(ConfigError::new(format!("{path}.name"), ErrorKind::Invalid, message));
            }
            if !spec.name.is_empty() && !names.insert(spec.name.as_str()) {
                let message = format!("a second rule is called {:?}; give it another name", spec.name);
                errors.push(ConfigError::new(format!("{path}.name"), ErrorKind::Duplicate, message));
            }
            let open = rules.iter().position(|rule: &Arc<Rule>| is_for_all(rule));
            if let Some(before) = open {
                let message = format!(
                    "is never used: models.rules[{before}] is for every request; put it before that one"
                );
                warnings.push(ConfigError::new(path.as_str(), ErrorKind::Invalid, message));
            }
            rules.push(Arc::new(spec.rule(&path, listed, errors, warnings, share(&spec.name))));
        }
        ModelSettings { rules: rules.into_iter().collect(), listed, unknown }
    }
}

fn is_for_all(rule: &Rule) -> bool {
    rule.matches.is_empty() || rule.matches.contains(&Match::default())
}

fn too_many(path: &str, count: usize, most: usize, errors: &mut Vec<ConfigError>) {
    if count > most {
        let message = format!("has {count} entries, more than {most}");
        errors.push(ConfigError::new(path, ErrorKind::Invalid, message));
    }
}

fn bounded(path: &str, text: &str, errors: &mut Vec<ConfigError>) {
    if text.len() > MAX_NAME {
        let message = format!("has {} bytes, more than {MAX_NAME}", text.len());
        errors.push(ConfigError::new(path, ErrorKind::Invalid, message));
    }
}

impl ModelRuleSpec {
    fn rule(
        &self,
        path: &str,
        listed: bool,
        errors: &mut Vec<ConfigError>,
        warnings: &mut Vec<ConfigError>,
        share: Arc<Share>,
    ) -> Rule {
        let part = |name: &str| format!("{path}.{name}");
        too_many(&part("matches"), self.matches.len(), MAX_PARTS, errors);
        too_many(&part("targets"), self.targets.len(), MAX_PARTS, errors);
        if self.targets.is_empty() && self.priority.is_none() {
            let message = "is required: the models among which the requests are split (or write a priority)";
            errors.push(ConfigError::new(part("targets"), ErrorKind::Missing, message));
        }
        if !self.targets.is_empty() && self.targets.iter().all(|target| target.weight == Some(0)) {
            let message = "all weights are 0, so that requests keep their model; give one of them a weight";
            warnings.push(ConfigError::new(part("targets"), ErrorKind::Invalid, message));
        }
        let matches = self.matches.iter().enumerate();
        let targets = self.targets.iter().enumerate();
        Rule {
            name: self.name.as_str().into(),
            matches: matches
                .map(|(n, spec)| spec.condition(&format!("{path}.matches[{n}]"), errors))
                .collect(),
            targets: targets
                .map(|(n, spec)| spec.target(&format!("{path}.targets[{n}]"), listed, errors, warnings))
                .collect(),
            sticky: self.sticky.as_ref().and_then(|spec| spec.sticky(&part("sticky"), errors)),
            priority: self.priority,
            share,
        }
    }
}

impl ModelMatchSpec {
    fn condition(&self, path: &str, errors: &mut Vec<ConfigError>) -> Match {
        let part = |name: &str| format!("{path}.{name}");
        too_many(&part("headers"), self.headers.len(), MAX_PARTS, errors);
        let model = match (&self.model, &self.model_prefix) {
            (Some(_), Some(_)) => {
                let message = "stands beside model; write one of the two";
                errors.push(ConfigError::new(part("modelPrefix"), ErrorKind::Invalid, message));
                None
            }
            (Some(model), None) => Some(ModelMatch::Exact(model.as_str().into())),
            (None, Some(prefix)) => Some(ModelMatch::Prefix(prefix.as_str().into())),
            (None, None) => None,
        };
        for (name, text) in
            [("model", &self.model), ("modelPrefix", &self.model_prefix), ("pathPrefix", &self.path_prefix)]
        {
            bounded(&part(name), text.as_deref().unwrap_or_default(), errors);
        }
        let headers = self.headers.iter().enumerate().map(|(n, spec)| {
            let at = format!("{path}.headers[{n}]");
            bounded(&format!("{at}.value"), &spec.value, errors);
            let name = header_name(&format!("{at}.name"), &spec.name, errors);
            HeaderMatch { name, value: spec.value.trim().into() }
        });
        Match { model, headers: headers.collect(), path_prefix: self.path_prefix.as_deref().map(Into::into) }
    }
}

/// `name` as requests have it. An empty one was told before.
fn header_name(path: &str, name: &str, errors: &mut Vec<ConfigError>) -> Box<str> {
    if name.is_empty() {
        return Box::default();
    }
    bounded(path, name, errors);
    header::name(name)
        .unwrap_or_else(|message| {
            errors.push(ConfigError::new(path, ErrorKind::Invalid, message));
            String::new()
        })
        .into()
}

impl ModelTargetSpec {
    fn target(
        &self,
        path: &str,
        listed: bool,
        errors: &mut Vec<ConfigError>,
        warnings: &mut Vec<ConfigError>,
    ) -> Target {
        let part = |name: &str| format!("{path}.{name}");
        bounded(&part("model"), &self.model, errors);
        too_many(&part("fallbacks"), self.fallbacks.len(), MAX_PARTS, errors);
        for (n, name) in self.fallbacks.iter().enumerate() {
            bounded(&format!("{path}.fallbacks[{n}]"), name, errors);
        }
        let weight = self.weight.unwrap_or(1);
        if weight > MAX_WEIGHT {
            let message = format!("must lie between 0 and {MAX_WEIGHT}");
            errors.push(ConfigError::new(part("weight"), ErrorKind::Invalid, message));
        }
        if !self.fallbacks.is_empty() && !listed {
            let message = "have no effect without the lists of the servers; write listed: true in models";
            warnings.push(ConfigError::new(part("fallbacks"), ErrorKind::Invalid, message));
        }
        let fallbacks = self.fallbacks.iter().map(|name| name.as_str().into()).collect();
        Target { model: self.model.as_str().into(), weight, fallbacks }
    }
}

impl StickySpec {
    fn sticky(&self, path: &str, errors: &mut Vec<ConfigError>) -> Option<Sticky> {
        match (&self.header, &self.cookie) {
            (Some(name), None) => Some(Sticky::Header(header_name(&format!("{path}.header"), name, errors))),
            (None, Some(name)) if header::is_token(name) => Some(Sticky::Cookie(name.as_str().into())),
            (None, Some(name)) => {
                let message = format!("{name:?} is no name of a cookie");
                errors.push(ConfigError::new(format!("{path}.cookie"), ErrorKind::Invalid, message));
                None
            }
            _ => {
                let message = "must have either header or cookie";
                errors.push(ConfigError::new(path, ErrorKind::Invalid, message));
                None
            }
        }
    }
}
