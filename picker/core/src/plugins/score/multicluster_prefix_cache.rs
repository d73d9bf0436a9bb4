//! `multicluster-prefix-cache-scorer`: the more of the prompt a cluster has in its prefix caches, the better.

use super::prefix_cache::{Params, PrefixCacheScorer};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};

/// The rule of [`PrefixCacheScorer`], where each endpoint is a cluster.
#[derive(Debug)]
pub struct MulticlusterPrefixCacheScorer;

impl Plugin for MulticlusterPrefixCacheScorer {
    const TYPE: &'static str = "multicluster-prefix-cache-scorer";
    const TASK: Task = Task::Clusters;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Does what prefix-cache-scorer does, in a strategy whose endpoints are the gateways of clusters. Without \
         prefixMatchInfoProducerName it reads approx-prefix-cache-producer; name a multicluster-approx-prefix-cache-producer, if there is one.";
    const FORMULA: &'static str = PrefixCacheScorer::FORMULA;
    const ROLES: &'static [Role] = PrefixCacheScorer::ROLES;
    const SAMPLE: &'static str = "\
plugins:
- type: multicluster-prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: multicluster-approx-prefix-cache-producer}
- type: multicluster-approx-prefix-cache-producer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        PrefixCacheScorer::build(params, cx)
    }
}
