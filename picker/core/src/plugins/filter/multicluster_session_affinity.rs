//! `multicluster-session-affinity-filter`: requests of a session go to the cluster where the session is.

use super::session_affinity::SessionAffinityFilter;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::session::Params;

/// The rule of [`SessionAffinityFilter`], where each endpoint is a cluster.
#[derive(Debug)]
pub struct MulticlusterSessionAffinityFilter;

impl Plugin for MulticlusterSessionAffinityFilter {
    const TYPE: &'static str = "multicluster-session-affinity-filter";
    const TASK: Task = Task::Clusters;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str =
        "Does what session-affinity-filter does, in a strategy whose endpoints are the gateways of clusters.";
    const ROLES: &'static [Role] = SessionAffinityFilter::ROLES;
    const SAMPLE: &'static str = "\
plugins:
- type: multicluster-session-affinity-filter
  parameters: {strategy: session_id}
- type: active-request-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        SessionAffinityFilter::build(params, cx)
    }
}
