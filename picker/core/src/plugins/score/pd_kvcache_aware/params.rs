//! Parameters of `pd-kvcache-aware-scorer`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plugin::{BuildCx, BuildError};
use crate::plugins::scale::weight;

/// Parameters of `pd-kvcache-aware-scorer`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Weight of the part of the prompt that a prefill pod does not have in its prefix cache, at least 0. Default: 1.
    #[schemars(range(min = 0.0))]
    prefill_prefix_weight: Option<f32>,
    /// Weight of the share of a prefill pod's KV cache that is in use, at least 0. Default: 1.
    #[serde(rename = "prefillKVUsageWeight")]
    #[schemars(range(min = 0.0))]
    prefill_kv_usage_weight: Option<f32>,
    /// Weight of the requests that wait at a prefill pod, at least 0. Default: 1.
    #[schemars(range(min = 0.0))]
    prefill_queue_weight: Option<f32>,
    /// Weight of this picker's requests to a prefill pod whose answer has not begun, at least 0. Default: 0.
    #[schemars(range(min = 0.0))]
    prefill_inflight_weight: Option<f32>,
    /// Weight of the share of a decode pod's KV cache that is in use, at least 0. Default: 1.
    #[serde(rename = "decodeKVUsageWeight")]
    #[schemars(range(min = 0.0))]
    decode_kv_usage_weight: Option<f32>,
    /// Weight of the requests that wait at a decode pod, at least 0. Default: 1.
    #[schemars(range(min = 0.0))]
    decode_queue_weight: Option<f32>,
    /// Weight of this picker's requests to a decode pod that have not ended, at least 0. Default: 0.
    #[schemars(range(min = 0.0))]
    decode_inflight_weight: Option<f32>,
    /// Weight of what the prefill pod costs, at least 0. Default: 1.
    #[schemars(range(min = 0.0))]
    prefill_score_weight: Option<f32>,
    /// Weight of what the decode pod costs, at least 0. Default: 1.
    #[schemars(range(min = 0.0))]
    decode_score_weight: Option<f32>,
    /// The former name of `prefillPrefixWeight`.
    #[schemars(extend("deprecated" = true))]
    kv_cache_hit_not_rate_weight: Option<f32>,
    /// The former name of `prefillKVUsageWeight` and `decodeKVUsageWeight`.
    #[schemars(extend("deprecated" = true))]
    xpu_cache_usage_weight: Option<f32>,
    /// The former name of `prefillQueueWeight`.
    #[schemars(extend("deprecated" = true))]
    prefill_waiting_request_weight: Option<f32>,
    /// The former name of `decodeQueueWeight`.
    #[schemars(extend("deprecated" = true))]
    decode_waiting_request_weight: Option<f32>,
    /// The former name of `prefillScoreWeight`.
    #[schemars(extend("deprecated" = true))]
    prefill_pod_score_weight: Option<f32>,
    /// The former name of `decodeScoreWeight`.
    #[schemars(extend("deprecated" = true))]
    decode_pod_score_weight: Option<f32>,
    /// Name of the plugin that tells the groups. Without it, the one called `pd-group-producer`, which is made with
    /// default parameters if there is none.
    pub(super) pd_group_producer_name: Option<String>,
    /// Name of the plugin that says which pod has how much of a prompt. Without it, the one called
    /// `approx-prefix-cache-producer`, which is made with default parameters if there is none.
    pub(super) prefix_match_info_producer_name: Option<String>,
}

/// Weights of the costs of one pod.
#[derive(Debug, PartialEq)]
pub(super) struct Work {
    pub prefix: f64,
    pub usage: f64,
    pub waiting: f64,
    pub in_flight: f64,
}

/// All weights. Of the last two, one is positive.
#[derive(Debug, PartialEq)]
pub(super) struct Weights {
    pub prefill: Work,
    pub decode: Work,
    pub prefill_score: f64,
    pub decode_score: f64,
}

impl Params {
    /// The weights, of which those by former names are warned of.
    pub(super) fn weights(&self, cx: &mut BuildCx<'_>) -> Result<Weights, BuildError> {
        let miss = ("kvCacheHitNotRateWeight", self.kv_cache_hit_not_rate_weight);
        let usage = ("xpuCacheUsageWeight", self.xpu_cache_usage_weight);
        let prefill_waiting = ("prefillWaitingRequestWeight", self.prefill_waiting_request_weight);
        let decode_waiting = ("decodeWaitingRequestWeight", self.decode_waiting_request_weight);
        let prefill_score = ("prefillPodScoreWeight", self.prefill_pod_score_weight);
        let decode_score = ("decodePodScoreWeight", self.decode_pod_score_weight);
        for ((field, value), now) in [
            (miss, "prefillPrefixWeight"),
            (usage, "prefillKVUsageWeight and decodeKVUsageWeight"),
            (prefill_waiting, "prefillQueueWeight"),
            (decode_waiting, "decodeQueueWeight"),
            (prefill_score, "prefillScoreWeight"),
            (decode_score, "decodeScoreWeight"),
        ] {
            if value.is_some() {
                cx.warn(field, format!("is the former name of {now}; write that"));
            }
        }
        let weights = Weights {
            prefill: Work {
                prefix: weight(&[("prefillPrefixWeight", self.prefill_prefix_weight), miss], 1.0)?,
                usage: weight(&[("prefillKVUsageWeight", self.prefill_kv_usage_weight), usage], 1.0)?,
                waiting: weight(&[("prefillQueueWeight", self.prefill_queue_weight), prefill_waiting], 1.0)?,
                in_flight: weight(&[("prefillInflightWeight", self.prefill_inflight_weight)], 0.0)?,
            },
            decode: Work {
                prefix: 0.0,
                usage: weight(&[("decodeKVUsageWeight", self.decode_kv_usage_weight), usage], 1.0)?,
                waiting: weight(&[("decodeQueueWeight", self.decode_queue_weight), decode_waiting], 1.0)?,
                in_flight: weight(&[("decodeInflightWeight", self.decode_inflight_weight)], 0.0)?,
            },
            prefill_score: weight(&[("prefillScoreWeight", self.prefill_score_weight), prefill_score], 1.0)?,
            decode_score: weight(&[("decodeScoreWeight", self.decode_score_weight), decode_score], 1.0)?,
        };
        if weights.prefill_score + weights.decode_score == 0.0 {
            let message = "is 0, and so is decodeScoreWeight; make one of them positive";
            return Err(BuildError::invalid("prefillScoreWeight", message));
        }
        Ok(weights)
    }
}
