//! `session-affinity-scorer`: the endpoint where the session of a request is scores best.

use std::sync::Arc;

use crate::ask::Ask;
use crate::inputs::Inputs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::session::{Params, SessionAffinity};
use crate::role::Scorer;
use crate::view::Candidates;

/// Scores the endpoint of the request's session 1, and all others 0.
#[derive(Debug)]
pub struct SessionAffinityScorer(Arc<SessionAffinity>);

impl Plugin for SessionAffinityScorer {
    const TYPE: &'static str = "session-affinity-scorer";
    const TASK: Task = Task::Sessions;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Prefers the endpoint where the session of the request is: 1 for it, 0 for all others, and 0 for all without \
         a session. The token of the strategy encoded_endpoint_header is not signed: it tells clients namespace and name of a pod, and one \
         that a client makes up leads to no other server than the candidates.";
    const ROLES: &'static [Role] = &[Role::Scorer, Role::PreRequest, Role::Observer, Role::Upkeep];
    const SAMPLE: &'static str = "\
plugins:
- type: session-affinity-scorer
  parameters:
    encodedEndpointHeaderConfig: {header: x-session-token}
- type: queue-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 1}
  - {pluginRef: session-affinity-scorer, weight: 3}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let sessions = SessionAffinity::build(&params, cx)?;
        let roles = sessions.roles();
        Ok(Roles { scorer: Some(Arc::new(Self(sessions))), ..roles })
    }
}

impl Scorer for SessionAffinityScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let pinned = self.0.pinned(ask, candidates);
        if !pinned.is_empty() {
            for (place, i) in out.iter_mut().zip(candidates.iter()) {
                *place = if pinned.contains(&i) { 1.0 } else { 0.0 };
            }
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        self.0.inputs(ask, inputs);
    }
}
