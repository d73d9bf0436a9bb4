//! `agent-identity`: which agent's session a request belongs to.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::fact::{FairnessId, Own, Slot};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::request::{Headers, header};
use crate::role::Producer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// The headers in which agents send their session: Claude Code, OpenCode, Codex, Codex of old.
const SESSION_HEADERS: [&str; 4] =
    ["x-claude-code-session-id", "x-session-affinity", "session-id", "session_id"];

/// Parameters of `agent-identity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Further headers that have the session of an agent. They are looked at before the known ones, in this order.
    additional_session_headers: Vec<String>,
}

/// Finds the first header that has the session of an agent.
#[derive(Debug)]
pub struct AgentIdentity {
    found: Slot<FairnessId>,
    additional: Box<[String]>,
}

impl Plugin for AgentIdentity {
    const TYPE: &'static str = "agent-identity";
    const TASK: Task = Task::Sessions;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Finds the session of the agent that sends a request, in the first header that has one: those of \
         additionalSessionHeaders, x-claude-code-session-id, x-session-affinity, session-id, session_id. It is the \
         request's fairness id unless the header x-llm-d-inference-fairness-id has another. A request with none of \
         these headers has no id: it is not put together with others like it.";
    const ROLES: &'static [Role] = &[Role::Producer];
    const SAMPLE: &'static str = "\
plugins:
- type: agent-identity
  parameters:
    additionalSessionHeaders: [x-my-agent-session]
- type: session-affinity-scorer
  parameters:
    strategy: session_id
    sessionIdConfig:
      sources: [{attribute: agent-identity, producer: agent-identity}]
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let name = |(n, given): (usize, &String)| {
            let field = || format!("additionalSessionHeaders[{n}]");
            header::name(given).map_err(|message| BuildError::invalid(&field(), message))
        };
        let additional = params.additional_session_headers.iter().enumerate().map(name);
        let additional = additional.collect::<Result<_, _>>()?;
        let producer = Self { found: cx.provides(), additional };
        Ok(Roles { producer: Some(Arc::new(producer)), ..Roles::default() })
    }
}

impl Producer for AgentIdentity {
    fn produce(&self, ask: &Ask<'_>, _: &Candidates, own: &mut Own) {
        let (headers, trust) = (&ask.request.headers, ask.request.trust);
        let additional = self.additional.iter().map(String::as_str);
        *own.get_mut(self.found) = FairnessId {
            explicit: first(headers, header::FAIRNESS_ID.into_iter().filter(|_| trust.fairness_id)),
            agent: first(headers, additional.chain(SESSION_HEADERS)),
        };
    }
}

/// The first of the headers `names` that is not empty, without the white space around it.
fn first<'n>(headers: &Headers, mut names: impl Iterator<Item = &'n str>) -> Option<Bytes> {
    names.find_map(|name| {
        let value = headers.bytes(name)?;
        let trimmed = value.trim_ascii();
        (!trimmed.is_empty()).then(|| value.slice_ref(trimmed))
    })
}
