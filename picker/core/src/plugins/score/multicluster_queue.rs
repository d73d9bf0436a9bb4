//! `multicluster-queue-scorer`: the fewer requests wait in a cluster, the better.

use std::sync::Arc;

use super::{cluster_signal, signal};
use crate::ask::Ask;
use crate::column::Column;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::NoParameters;
use crate::role::Scorer;
use crate::scrape::attributes::POOL_QUEUE;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// (most − waiting) / (most − least) over the candidates, with what each cluster tells of its pool.
#[derive(Debug)]
pub struct MulticlusterQueueScorer(Column);

impl Plugin for MulticlusterQueueScorer {
    const TYPE: &'static str = "multicluster-queue-scorer";
    const TASK: Task = Task::Clusters;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Prefers clusters in which fewer requests wait: 1 for the shortest queue among the candidates, 0 for the longest, by the attribute \
         llm-d.ai/multicluster-queue-size. A cluster that does not tell it scores 0: it may be out of reach.";
    const FORMULA: &'static str = "(most − waiting) / (most − least), with the most and least among the candidates; 1 when all are equal, 0 where it is not known.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: multicluster-queue-scorer
- type: core-metrics-extractor
  parameters:
    defaultEngine: picker
    engineConfigs:
    - name: picker
      customMetrics:
      - {attributeKey: llm-d.ai/multicluster-queue-size, metricSpec: llm_d_epp_average_queue_size}
";
    type Params = NoParameters;

    fn build(_: NoParameters, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let scorer = Self(cluster_signal::column(POOL_QUEUE, cx)?);
        Ok(Roles { scorer: Some(Arc::new(scorer)), ..Roles::default() })
    }
}

impl Scorer for MulticlusterQueueScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let waiting = ask.view.column(self.0);
        cluster_signal::known_alone(waiting, candidates, out, signal::below_most(waiting, candidates));
    }
}
