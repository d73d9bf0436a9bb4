//! `session-id-producer`: the session of a request, from a header or a cookie.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::fact::{Own, SessionId, Slot};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::request::header;
use crate::role::Producer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// The longest id: what browsers keep of a cookie (RFC 6265, section 6.1).
const MAX_ID: usize = 4096;

/// Parameters of `session-id-producer`: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The request header whose value is the id. Upper and lower case are the same.
    header_name: Option<String>,
    /// The cookie whose value is the id. Upper and lower case differ.
    cookie_name: Option<String>,
}

/// Finds the id of the session.
#[derive(Debug)]
pub struct SessionIdProducer {
    found: Slot<SessionId>,
    source: Source,
}

/// Where the id is.
#[derive(Debug)]
enum Source {
    /// In the header of this name, in lower case.
    Header(String),
    /// In the cookie of this name.
    Cookie(String),
}

impl Plugin for SessionIdProducer {
    const TYPE: &'static str = "session-id-producer";
    const TASK: Task = Task::Sessions;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Finds the id of a request's session, in the header or the cookie that its parameters name, for plugins that keep \
         sessions at their servers (sessionIdConfig.sources: [{attribute: SessionIDDataKey}]). A request without the header or \
         cookie, with an empty one, or with one of more than 4096 bytes belongs to no session. Of several cookies of that name the \
         first counts. Made by itself, for the header x-session-id, when a plugin reads it and the configuration has none.";
    const ROLES: &'static [Role] = &[Role::Producer];
    const SAMPLE: &'static str = "\
plugins:
- type: session-id-producer
  parameters: {cookieName: chat-session}
- type: session-affinity-filter
  parameters:
    strategy: session_id
    sessionIdConfig:
      sources: [{attribute: SessionIDDataKey, producer: session-id-producer}]
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let given =
            |name: Option<String>| name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let source = match (given(params.header_name), given(params.cookie_name)) {
            (Some(name), None) => {
                let name = header::name(&name).map_err(|e| BuildError::invalid("headerName", e))?;
                Source::Header(name)
            }
            (None, Some(name)) if header::is_token(&name) => Source::Cookie(name),
            (None, Some(name)) => {
                return Err(BuildError::invalid("cookieName", format!("{name:?} is no name of a cookie")));
            }
            (Some(_), Some(_)) => {
                return Err(BuildError::invalid(
                    "cookieName",
                    "is there beside headerName; write one of them alone",
                ));
            }
            (None, None) => {
                return Err(BuildError::invalid("headerName", "is required, or cookieName in its place"));
            }
        };
        let producer = Self { found: cx.provides(), source };
        Ok(Roles { producer: Some(Arc::new(producer)), ..Roles::default() })
    }
}

impl Producer for SessionIdProducer {
    fn produce(&self, ask: &Ask<'_>, _: &Candidates, own: &mut Own) {
        let headers = &ask.request.headers;
        let id = match &self.source {
            Source::Header(name) => headers.bytes(name).map(trimmed),
            Source::Cookie(name) => headers.cookie(name),
        };
        own.get_mut(self.found).id = id.filter(|id| (1..=MAX_ID).contains(&id.len()));
    }
}

fn trimmed(value: &Bytes) -> Bytes {
    value.slice_ref(value.trim_ascii())
}
