//! `token-count-reporter`: tells the gateway the token counts of an answer.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision};
use crate::edits::Edits;
use crate::outcome::{Outcome, Usage};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::{Observer, ResponseWatch};

/// Parameters of `token-count-reporter`. A key that is empty is not told.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The namespace of dynamic metadata that all counts are told in.
    namespace: String,
    /// The key of the tokens of the prompt, those from the prefix cache too. Empty: not told.
    input: Cow<'static, str>,
    /// The key of the tokens of the prompt that came from the prefix cache. Empty: not told.
    cached_input: Cow<'static, str>,
    /// The key of the tokens of the answer, those of its reasoning too. Empty: not told.
    output: Cow<'static, str>,
    /// The key of the tokens of the answer that are reasoning. Empty: not told.
    reasoning: Cow<'static, str>,
    /// The key of the tokens of prompt and answer together. Empty: not told.
    total: Cow<'static, str>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            namespace: "envoy.lb".to_owned(),
            input: "llm_input_token".into(),
            cached_input: "llm_cached_input_token".into(),
            output: "llm_output_token".into(),
            reasoning: "llm_reasoning_token".into(),
            total: "llm_total_token".into(),
        }
    }
}

impl Params {
    /// Each key with the name of its parameter, in the order of [`counts`].
    fn keys(&self) -> [(&'static str, &Cow<'static, str>); 5] {
        [
            ("input", &self.input),
            ("cachedInput", &self.cached_input),
            ("output", &self.output),
            ("reasoning", &self.reasoning),
            ("total", &self.total),
        ]
    }
}

/// What is told of an answer with these counts.
fn counts(usage: Usage) -> [u64; 5] {
    let Usage { prompt, cached, completion, reasoning } = usage;
    [prompt, cached, completion, reasoning, prompt.saturating_add(completion)]
}

/// Tells the gateway the counts at the end of a response.
#[derive(Debug)]
pub struct TokenCountReporter(Arc<Params>);

impl Plugin for TokenCountReporter {
    const TYPE: &'static str = "token-count-reporter";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::Waypost;
    const SUMMARY: &'static str = "Tells the gateway at the end of a response its token counts, as dynamic metadata under the keys that Envoy AI Gateway uses, for rate limits and access logs. 0 is told too, and nothing for an answer without token counts.";
    const ROLES: &'static [Role] = &[Role::Observer];
    const SAMPLE: &'static str = "\
plugins:
- type: queue-scorer
- type: token-count-reporter
  parameters:
    namespace: io.envoy.ai_gateway
    reasoning: \"\"
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.namespace.is_empty() {
            return Err(BuildError::invalid("namespace", "must not be empty"));
        }
        let keys = params.keys();
        if keys.iter().all(|(_, key)| key.is_empty()) {
            return Err(BuildError::invalid("total", "at least one key must not be empty"));
        }
        for (at, (name, key)) in keys.iter().enumerate() {
            if let Some((other, _)) = keys[..at].iter().find(|(_, other)| !key.is_empty() && other == key) {
                return Err(BuildError::invalid(name, format!("is the key of {other} too")));
            }
        }
        Ok(Roles { observer: Some(Arc::new(Self(Arc::new(params)))), ..Roles::default() })
    }
}

impl Observer for TokenCountReporter {
    fn watch(&self, _: &Ask<'_>, _: &Decision) -> Option<Box<dyn ResponseWatch>> {
        Some(Box::new(Watch(self.0.clone())))
    }
}

/// Waits for the end of one response.
struct Watch(Arc<Params>);

impl ResponseWatch for Watch {
    fn ended(&mut self, outcome: &Outcome, edits: &mut Edits) {
        let Some(usage) = outcome.usage else { return };
        let told = self.0.keys().into_iter().zip(counts(usage)).filter(|((_, key), _)| !key.is_empty());
        for ((_, key), count) in told {
            edits.number(self.0.namespace.clone(), key.clone(), count as f64);
        }
    }
}

#[cfg(test)]
mod tests;
