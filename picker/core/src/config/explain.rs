//! The section `explain` of a routing: which decisions are kept, for those who ask why a request went where it did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, ErrorKind};

/// Which decisions a picker keeps, with their filters, scores and picks: the last ones are on its page `/debug/decisions`.
/// Prompts are never part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainSpec {
    /// The share of decisions that is kept, chosen at random, in percent, 0 to 100. Default: 0, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub sample_percent: Option<f64>,
}

impl ExplainSpec {
    /// The share of decisions that is kept, 0 to 1.
    pub(super) fn share(&self, errors: &mut Vec<ConfigError>) -> f64 {
        let percent = self.sample_percent.unwrap_or_default();
        if (0.0..=100.0).contains(&percent) {
            return percent / 100.0;
        }
        let message = "must lie between 0 and 100: it is a share in percent";
        errors.push(ConfigError::new("explain.samplePercent", ErrorKind::Invalid, message));
        0.0
    }
}
