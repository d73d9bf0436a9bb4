//! What objects of the cluster say of a pool's requests: their priorities, and the models under which they go on.

use picker_core::request::{Request, header};
use picker_core::rewrite::{self, Rewrite};
use picker_core::{Needs, Refusal, Strategy, View};

use crate::watch::model_rules::SharedRules;
use crate::watch::objectives::SharedPriorities;

/// What they say at the moment.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// Priorities, by the InferenceObjective that requests name.
    pub priorities: SharedPriorities,
    /// Rules of models, which count after those of the strategy.
    pub rules: SharedRules,
}

impl Policies {
    /// Whether bodies are read of requests that `strategy` decides.
    pub fn read_bodies(&self, strategy: &Strategy) -> bool {
        strategy.needs.has(Needs::BODY) || !self.rules.load().is_empty()
    }

    /// Gives `request` its priority and its model, as `strategy` and these say. `None` when it keeps the model that the client
    /// asks for.
    ///
    /// # Errors
    /// When there is no such model, and the strategy refuses requests for it.
    #[inline]
    pub fn apply(
        &self,
        strategy: &Strategy,
        request: &mut Request,
        view: &View,
    ) -> Result<Option<Rewrite>, Refusal> {
        request.trust = strategy.trust;
        let named = request.trust.objective.then(|| self.priorities.load().of(&request.headers)).flatten();
        request.priority = named.unwrap_or(0);
        let rules = self.rules.load();
        if rules.is_empty() && strategy.models.is_empty() && !names_model(request) {
            return Ok(None);
        }
        rewrite::apply(&strategy.models, &rules, request, named.is_some(), view)
    }
}

/// Whether a header that is believed names a model.
fn names_model(request: &Request) -> bool {
    request.trust.model_rewrite
        && header::MODEL_REWRITE.iter().any(|name| request.headers.get(name).is_some())
}
