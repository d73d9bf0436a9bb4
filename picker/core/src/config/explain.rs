//! The section `explain` of a routing: which decisions are explained, for those who ask why a request went where it did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, ErrorKind};

/// Which decisions a picker explains, with their filters, scores and picks, and to whom. Prompts are never part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainSpec {
    /// The share of decisions that is kept, chosen at random, in percent, 0 to 100: the last ones are on the picker's page
    /// `/debug/decisions`. Default: 0, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub sample_percent: Option<f64>,
    /// Whether gateways are told of every decision, in the metadata `waypost.dev` under the key `explain`: as JSON of at most
    /// 4 KiB, which has the best endpoints with their scores. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<bool>,
    /// Whether clients are told the same in the response header `x-waypost-explain`, if their request has a header of that
    /// name. It names pods and their load: leave it off where clients must not know them. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header: Option<bool>,
    /// Whether gateways are told the total of each endpoint that was scored for the destination, in the metadata `envoy.lb`
    /// under the key `x-gateway-destination-endpoint-scores`. Default: false, or true with the picker's flag
    /// `--emit-endpoint-scores`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_scores: Option<bool>,
}

/// Which decisions of a strategy are explained, and to whom.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Explained {
    /// The share of them that is kept, 0 to 1.
    pub kept: f64,
    /// Whether gateways are told of each.
    pub metadata: bool,
    /// Whether clients that ask are told.
    pub response_header: bool,
    /// Whether gateways are told the totals; `None` where the process decides.
    pub endpoint_scores: Option<bool>,
}

impl Explained {
    /// Whether any decision may have to be explained, where the process says `scores` of totals.
    #[inline]
    pub fn any(&self, scores: bool) -> bool {
        self.kept > 0.0 || self.metadata || self.response_header || self.endpoint_scores.unwrap_or(scores)
    }
}

impl ExplainSpec {
    /// What it says.
    pub(super) fn explained(&self, errors: &mut Vec<ConfigError>) -> Explained {
        Explained {
            kept: self.share(errors),
            metadata: self.metadata.unwrap_or_default(),
            response_header: self.response_header.unwrap_or_default(),
            endpoint_scores: self.endpoint_scores,
        }
    }

    /// The share of decisions that is kept, 0 to 1.
    fn share(&self, errors: &mut Vec<ConfigError>) -> f64 {
        let percent = self.sample_percent.unwrap_or_default();
        if (0.0..=100.0).contains(&percent) {
            return percent / 100.0;
        }
        let message = "must lie between 0 and 100: it is a share in percent";
        errors.push(ConfigError::new("explain.samplePercent", ErrorKind::Invalid, message));
        0.0
    }
}
