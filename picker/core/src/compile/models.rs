//! The section `models` of a routing: its rules, with their counts of requests, and what it needs.

use std::sync::Arc;

use super::context::Compiler;
use crate::config::ModelsSpec;
use crate::needs::Needs;
use crate::rewrite::{ModelSettings, Served, Share};
use crate::role::Screener;
use crate::store::{Shape, Staging};
use crate::strategy::{Named, Reads};

/// The kind of state that counts of rules are.
const KIND: &str = "model-rule";

/// Name of what takes out endpoints that don't list the model, for who asks about a decision.
const SCREENER: &str = "models";

impl Compiler<'_> {
    /// What the section says; nothing where there is none. The count of a rule is that of the rule of this name before.
    pub(super) fn models(&mut self, spec: Option<&ModelsSpec>, staging: &mut Staging) -> ModelSettings {
        let Some(spec) = spec else { return ModelSettings::default() };
        let share = |name: &str| staging.state(KIND, name, Shape(String::new()), Share::default);
        spec.settings(&mut self.errors, &mut self.warnings, share)
    }
}

/// What is needed for `models`.
pub(super) fn needs(models: &ModelSettings) -> Needs {
    if models.is_empty() { Needs::NOTHING } else { Needs::BODY }
}

/// What takes out endpoints that don't list the model of a request, where `models` wants that.
pub(super) fn screener(models: &ModelSettings) -> Option<Named<dyn Screener>> {
    let role: Arc<dyn Screener> = Arc::new(Served);
    models.listed.then(|| Named { name: SCREENER.into(), role, reads: Arc::<Reads>::default() })
}
