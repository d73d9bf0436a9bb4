//! `multicluster-kv-cache-utilization-scorer`: the emptier a cluster's KV caches, the better.

use std::sync::Arc;

use super::cluster_signal;
use crate::ask::Ask;
use crate::column::Column;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::NoParameters;
use crate::role::Scorer;
use crate::scrape::attributes::POOL_KV_USAGE;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// 1 − share of the KV caches in use, with what each cluster tells of its pool.
#[derive(Debug)]
pub struct MulticlusterKvCacheUtilizationScorer(Column);

impl Plugin for MulticlusterKvCacheUtilizationScorer {
    const TYPE: &'static str = "multicluster-kv-cache-utilization-scorer";
    const TASK: Task = Task::Clusters;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Prefers clusters with more free KV cache: 1 for empty caches, 0 for full ones, by the attribute \
         llm-d.ai/multicluster-kv-cache-utilization. A cluster that does not tell it scores 0: it may be out of reach.";
    const FORMULA: &'static str = "1 − share of the KV caches in use; 0 where it is not known.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: multicluster-kv-cache-utilization-scorer
- type: core-metrics-extractor
  parameters:
    defaultEngine: picker
    engineConfigs:
    - name: picker
      customMetrics:
      - {attributeKey: llm-d.ai/multicluster-kv-cache-utilization, metricSpec: llm_d_epp_average_kv_cache_utilization}
";
    type Params = NoParameters;

    fn build(_: NoParameters, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let scorer = Self(cluster_signal::column(POOL_KV_USAGE, cx)?);
        Ok(Roles { scorer: Some(Arc::new(scorer)), ..Roles::default() })
    }
}

impl Scorer for MulticlusterKvCacheUtilizationScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        cluster_signal::known_alone(ask.view.column(self.0), candidates, out, |used| 1.0 - used);
    }
}
