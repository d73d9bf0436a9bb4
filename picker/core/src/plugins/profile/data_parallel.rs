//! `data-parallel-profile-handler`: one profile, whose endpoint is reached through the first port of its pod.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::edits::Edits;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::{BoundHandler, Next, PreRequest, ProfileHandler};

#[cfg(test)]
mod tests;

/// Address of the data-parallel rank that was picked, for the sidecar that passes the request on to it.
pub(super) const RANK: &str = "x-data-parallel-host-port";

/// Parameters of `data-parallel-profile-handler`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The port to which requests for all ranks of a pod are sent, 1 to 65535.
    primary_port: u16,
}

impl Default for Params {
    fn default() -> Self {
        Self { primary_port: 8000 }
    }
}

/// Runs the one profile, and names the rank in a header.
#[derive(Clone, Debug)]
pub struct DataParallelProfileHandler {
    primary_port: u16,
}

impl Plugin for DataParallelProfileHandler {
    const TYPE: &'static str = "data-parallel-profile-handler";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const DEPRECATED: Option<&'static str> = Some(
        "single-profile-handler, and all ports of the ranks under targetPorts of the InferencePool: gateways reach them \
         themselves, Istio from 1.28.1 on",
    );
    const SUMMARY: &'static str = "Sends requests to one port of the pod that the only profile picked, and names the data-parallel rank (address and \
         port) in the header x-data-parallel-host-port, for a sidecar that passes them on.";
    const ROLES: &'static [Role] = &[Role::ProfileHandler, Role::PreRequest];
    const WRITES: &'static [&'static str] = &[RANK];
    const SAMPLE: &'static str = "\
plugins:
- type: data-parallel-profile-handler
  parameters: {primaryPort: 8000}
- type: queue-scorer
";
    type Params = Params;

    fn build(Params { primary_port }: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if primary_port == 0 {
            return Err(BuildError::invalid("primaryPort", "must lie between 1 and 65535"));
        }
        let handler = Arc::new(Self { primary_port });
        Ok(Roles { profile_handler: Some(handler.clone()), pre_request: Some(handler), ..Roles::default() })
    }
}

impl ProfileHandler for DataParallelProfileHandler {
    fn bind(&self, names: &[&str]) -> Result<Arc<dyn BoundHandler>, String> {
        match names {
            [_] => Ok(Arc::new(self.clone())),
            _ => Err(format!(
                "{} runs exactly one scheduling profile, and there are {}; leave one",
                Self::TYPE,
                names.len()
            )),
        }
    }
}

impl BoundHandler for DataParallelProfileHandler {
    fn next(&self, ask: &Ask<'_>) -> Next {
        if ask.done.is_empty() { Next::Run(0) } else { Next::Done { primary: 0 } }
    }
}

impl PreRequest for DataParallelProfileHandler {
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        self.dry_run(ask, decision, &mut launch.edits);
    }

    fn dry_run(&self, ask: &Ask<'_>, decision: &Decision, edits: &mut Edits) {
        by_primary_port(self.primary_port, ask, decision, edits);
    }
}

/// Sends the request to `port` of the pods that were picked, and names the endpoint of the first in a header.
pub(super) fn by_primary_port(port: u16, ask: &Ask<'_>, decision: &Decision, edits: &mut Edits) {
    let Some(picked) = decision.destination() else { return };
    let endpoint = |i: u32| &ask.view.endpoints[i as usize];
    edits.set_header(RANK, Bytes::copy_from_slice(endpoint(picked[0]).destination.as_bytes()));
    let mut addresses = String::new();
    for &i in picked {
        if !addresses.is_empty() {
            addresses.push(',');
        }
        // Writing into a text does not fail.
        let _ = write!(addresses, "{}", SocketAddr::new(endpoint(i).address.ip(), port));
    }
    edits.set_destination(addresses);
}
