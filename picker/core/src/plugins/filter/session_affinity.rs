//! `session-affinity-filter`: requests of a session go to the endpoint where the session is.

use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::session::{Params, SessionAffinity};
use crate::role::Filter;
use crate::view::Candidates;
use std::sync::Arc;

/// Keeps only the endpoint of the request's session, if that is a candidate, and otherwise all.
#[derive(Debug)]
pub struct SessionAffinityFilter(Arc<SessionAffinity>);

impl Plugin for SessionAffinityFilter {
    const TYPE: &'static str = "session-affinity-filter";
    const TASK: Task = Task::Sessions;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Keeps the endpoint where the session of the request is, as long as it is a candidate; without a session, \
         or when its endpoint is gone or was filtered out, all candidates. The token of the strategy encoded_endpoint_header is not signed: it tells clients namespace and name of a pod, and one \
         that a client makes up leads to no other server than the candidates.";
    const ROLES: &'static [Role] = &[Role::Filter, Role::PreRequest, Role::Observer, Role::Upkeep];
    const SAMPLE: &'static str = "\
plugins:
- type: session-affinity-filter
  parameters:
    strategy: session_id
    sessionIdConfig:
      sources: [{header: x-session-id}, {attribute: agent-identity}]
      evictionTtlSeconds: 600
- type: agent-identity
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let sessions = SessionAffinity::build(&params, cx)?;
        let roles = sessions.roles();
        Ok(Roles { filter: Some(Arc::new(Self(sessions))), ..roles })
    }
}

impl Filter for SessionAffinityFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let pinned = self.0.pinned(ask, keep);
        if !pinned.is_empty() {
            keep.retain(|i| pinned.contains(&i));
        }
    }

    fn why(&self, _: &Ask<'_>, _: usize) -> Option<String> {
        Some("the session is at another endpoint".to_owned())
    }
}
