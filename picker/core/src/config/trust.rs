//! The section `trust` of a routing: which request headers are believed that say how a request is to be treated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ConfigError;
use super::fields::Fields;
use crate::trust::Trust;

/// Which request headers are believed that say how a request is to be treated. A gateway that sets them itself, and takes
/// out those of clients, can be believed; where clients reach the picker with headers of their own, whatever is believed is
/// theirs to choose. None of these headers reaches model servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustSpec {
    /// Whether `x-llm-d-inference-objective` (formerly `x-gateway-inference-objective`) names the InferenceObjective of a
    /// request, and so its priority. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<bool>,
    /// Whether `x-llm-d-inference-fairness-id` (formerly `x-gateway-inference-fairness-id`) says on whose behalf a request is
    /// made. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness_id: Option<bool>,
    /// Whether `x-llm-d-slo-ttft-ms` and `x-llm-d-slo-tpot-ms` (formerly `x-slo-ttft-ms` and `x-slo-tpot-ms`) say how fast an
    /// answer has to be. No plugin of this release reads them. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<bool>,
    /// Whether `x-llm-d-model-name-rewrite` (formerly `x-gateway-model-name-rewrite`) names the model under which a request
    /// goes on, where no rule does. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_rewrite: Option<bool>,
    /// Whether those of these headers that are believed go on to model servers. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<bool>,
}

impl TrustSpec {
    /// Reads the section.
    pub(super) fn read(value: &Value, errors: &mut Vec<ConfigError>) -> Self {
        let Some(mut fields) = Fields::open("trust", value, errors) else { return Self::default() };
        let spec = Self {
            objective: fields.flag("objective", errors),
            fairness_id: fields.flag("fairnessId", errors),
            slo: fields.flag("slo", errors),
            model_rewrite: fields.flag("modelRewrite", errors),
            forward: fields.flag("forward", errors),
        };
        fields.close(errors);
        spec
    }

    /// What it says, with the defaults for the rest.
    pub(super) fn trust(&self) -> Trust {
        let default = Trust::default();
        Trust {
            objective: self.objective.unwrap_or(default.objective),
            fairness_id: self.fairness_id.unwrap_or(default.fairness_id),
            slo: self.slo.unwrap_or(default.slo),
            model_rewrite: self.model_rewrite.unwrap_or(default.model_rewrite),
            forward: self.forward.unwrap_or(default.forward),
        }
    }
}
