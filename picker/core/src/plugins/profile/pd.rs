//! `pd-profile-handler`: prefill and decode by different servers, as llm-d wrote it until 0.7.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::data_parallel::{RANK, by_primary_port};
use super::disagg::DisaggProfileHandler;
use super::disagg_headers::PREFILLER;
use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::edits::Edits;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::PreRequest;

#[cfg(test)]
mod tests;

/// Parameters of `pd-profile-handler`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The scheduling profile that chooses the decode server, which is the destination. It must exist.
    decode_profile: String,
    /// The scheduling profile that chooses the prefill server. It must exist.
    prefill_profile: String,
    /// Name of the plugin that decides whether a request is prefilled elsewhere. It must be declared.
    decider_plugin_name: String,
    /// The port of the decode pod to which requests for all its data-parallel ranks are sent; the header
    /// x-data-parallel-host-port names the rank. 0 (the default) sends them to the rank itself.
    primary_port: u16,
    /// Accepted, and without effect: the decider reads it.
    prefix_match_info_producer_name: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            decode_profile: "decode".to_owned(),
            prefill_profile: "prefill".to_owned(),
            decider_plugin_name: "prefix-based-pd-decider".to_owned(),
            primary_port: 0,
            prefix_match_info_producer_name: None,
        }
    }
}

/// The handler of both stages, and the port.
#[derive(Debug)]
pub struct PdProfileHandler {
    stages: Arc<DisaggProfileHandler>,
    primary_port: u16,
}

impl Plugin for PdProfileHandler {
    const TYPE: &'static str = "pd-profile-handler";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const DEPRECATED: Option<&'static str> =
        Some("disagg-profile-handler with deciders: {prefill: DECIDER}, and profiles under profiles");
    const SUMMARY: &'static str = "Schedules disaggregated serving in two stages: a decode server, which is the destination, and, where the decider \
         says so, a prefill server, which the header x-prefiller-host-port tells the sidecar of the decode server.";
    const ROLES: &'static [Role] = &[Role::ProfileHandler, Role::PreRequest];
    const WRITES: &'static [&'static str] = &[PREFILLER, RANK];
    // Parameters of its first releases, and ones that were never read.
    const IGNORED: &'static [&'static str] =
        &["threshold", "hashBlockSize", "prefixPluginType", "prefixPluginName"];
    const SAMPLE: &'static str = "\
plugins:
- type: pd-profile-handler
  parameters: {deciderPluginName: always-disagg-pd-decider}
- type: always-disagg-pd-decider
- type: decode-filter
- type: prefill-filter
- type: queue-scorer
schedulingProfiles:
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer}]
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let decode = cx.profile("decodeProfile", &params.decode_profile)?;
        let prefill = cx.profile("prefillProfile", &params.prefill_profile)?;
        if decode == prefill {
            return Err(BuildError::invalid(
                "prefillProfile",
                "is the profile of another stage; each has its own",
            ));
        }
        let decider = cx.decider("deciderPluginName", &params.decider_plugin_name)?;
        let stages = Arc::new(DisaggProfileHandler::of_two_stages(decode, prefill, decider));
        let handler = Self { stages: stages.clone(), primary_port: params.primary_port };
        Ok(Roles { profile_handler: Some(stages), pre_request: Some(Arc::new(handler)), ..Roles::default() })
    }
}

impl PreRequest for PdProfileHandler {
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        self.stages.pre_request(ask, decision, launch);
        if self.primary_port > 0 {
            by_primary_port(self.primary_port, ask, decision, &mut launch.edits);
        }
    }

    fn dry_run(&self, ask: &Ask<'_>, decision: &Decision, edits: &mut Edits) {
        self.stages.dry_run(ask, decision, edits);
        if self.primary_port > 0 {
            by_primary_port(self.primary_port, ask, decision, edits);
        }
    }
}
