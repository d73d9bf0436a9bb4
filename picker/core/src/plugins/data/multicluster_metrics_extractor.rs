//! `multicluster-metrics-extractor`: the load of other clusters' pools.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::scrape::builtin::{POOL_KV_USAGE_METRIC, POOL_QUEUE_METRIC};
use crate::scrape::{MetricsExtractor, Selector};

/// Parameters of `multicluster-metrics-extractor`. A metric is written as `name` or `name{label=value}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Metric with the mean share of the KV caches in use, 0 to 1. Default: `llm_d_epp_average_kv_cache_utilization`.
    kv_cache_utilization_metric: String,
    /// Metric with the mean length of the queues. Default: `llm_d_epp_average_queue_size`.
    queue_size_metric: String,
}

/// Names the series and the attributes. The picker reads those that other plugins of the strategy need.
#[derive(Debug)]
pub struct MulticlusterMetricsExtractor;

impl Plugin for MulticlusterMetricsExtractor {
    const TYPE: &'static str = "multicluster-metrics-extractor";
    const TASK: Task = Task::Clusters;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Makes the load of another cluster's pool the attributes llm-d.ai/multicluster-queue-size and llm-d.ai/multicluster-kv-cache-utilization of its endpoint, from the page of a multicluster-metrics-data-source.";
    const ROLES: &'static [Role] = &[Role::Extractor];
    const SAMPLE: &'static str = "\
plugins:
- type: multicluster-file-discovery
  parameters: {path: clusters.yaml}
- type: multicluster-metrics-extractor
  parameters:
    queueSizeMetric: inference_pool_average_queue_size
    kvCacheUtilizationMetric: inference_pool_average_kv_cache_utilization
- type: endpoint-attribute-scorer
  parameters:
    attributeKey: llm-d.ai/multicluster-kv-cache-utilization
    producer: multicluster-metrics-extractor
    algorithm: {type: linear_lower_is_better}
dataLayer:
  discovery: {pluginRef: multicluster-file-discovery}
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let selector = |field: &str, text: &str, default: &str| {
            let text = if text.is_empty() { default } else { text };
            Selector::parse(text).map_err(|e| BuildError::invalid(field, e))
        };
        let queue = selector("queueSizeMetric", &params.queue_size_metric, POOL_QUEUE_METRIC)?;
        let kv_usage =
            selector("kvCacheUtilizationMetric", &params.kv_cache_utilization_metric, POOL_KV_USAGE_METRIC)?;
        Ok(Roles { extractor: Some(MetricsExtractor::multicluster(queue, kv_usage)), ..Roles::default() })
    }
}

#[cfg(test)]
mod tests;
