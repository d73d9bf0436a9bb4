//! `multicluster-approx-prefix-cache-producer`: which cluster has how much of a prompt, by what was sent where.

use super::approx_prefix_cache::{ApproxPrefixCacheProducer, Params};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};

/// The rule of [`ApproxPrefixCacheProducer`], where each endpoint is a cluster.
#[derive(Debug)]
pub struct MulticlusterApproxPrefixCacheProducer;

impl Plugin for MulticlusterApproxPrefixCacheProducer {
    const TYPE: &'static str = "multicluster-approx-prefix-cache-producer";
    const TASK: Task = Task::Clusters;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Does what approx-prefix-cache-producer does, in a strategy whose endpoints are the gateways of clusters, which tell nothing \
         of their caches: give lruCapacityPerServer that of a cluster. It is never made by itself.";
    const ROLES: &'static [Role] = ApproxPrefixCacheProducer::ROLES;
    const SAMPLE: &'static str = "\
plugins:
- type: multicluster-approx-prefix-cache-producer
  parameters: {lruCapacityPerServer: 500000}
- type: multicluster-prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: multicluster-approx-prefix-cache-producer}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        ApproxPrefixCacheProducer::build(params, cx)
    }
}
