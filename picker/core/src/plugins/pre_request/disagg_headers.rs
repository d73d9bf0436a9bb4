//! `disagg-headers-handler`: the headers that name prefill and encode servers, as a plugin of its own.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::edits::Edits;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::profile::disagg_headers::{ENCODERS, PREFILLER, encoders, prefiller};
use crate::role::PreRequest;

#[cfg(test)]
mod tests;

/// Parameters of `disagg-headers-handler`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The scheduling profile that chooses the prefill server. Without a profile of that name no header names one.
    prefill_profile: String,
    /// The scheduling profile that chooses the encode servers. Without a profile of that name no header names any.
    encode_profile: String,
}

impl Default for Params {
    fn default() -> Self {
        Self { prefill_profile: "prefill".to_owned(), encode_profile: "encode".to_owned() }
    }
}

/// Writes the headers, by the profiles' results.
#[derive(Debug)]
pub struct DisaggHeadersHandler {
    /// Positions of the profiles in the strategy.
    prefill: Option<usize>,
    encode: Option<usize>,
}

impl Plugin for DisaggHeadersHandler {
    const TYPE: &'static str = "disagg-headers-handler";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const ALIASES: &'static [&'static str] = &["prefill-header-handler"];
    const DEPRECATED: Option<&'static str> =
        Some("nothing: disagg-profile-handler writes these headers itself");
    const SUMMARY: &'static str = "Names the prefill server and the encode servers that the profiles chose in the headers x-prefiller-host-port and \
         x-encoder-hosts-ports. disagg-profile-handler does so itself.";
    const ROLES: &'static [Role] = &[Role::PreRequest];
    const WRITES: &'static [&'static str] = &[PREFILLER, ENCODERS];
    const SAMPLE: &'static str = "\
plugins:
- type: disagg-headers-handler
- type: disagg-profile-handler
  parameters:
    deciders: {prefill: always-disagg-pd-decider}
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
        let handler = Self {
            prefill: cx.find_profile(&params.prefill_profile),
            encode: cx.find_profile(&params.encode_profile),
        };
        Ok(Roles { pre_request: Some(Arc::new(handler)), ..Roles::default() })
    }
}

impl PreRequest for DisaggHeadersHandler {
    /// What the profile handler has written already is written again, as the same.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        self.dry_run(ask, decision, &mut launch.edits);
    }

    fn dry_run(&self, ask: &Ask<'_>, decision: &Decision, edits: &mut Edits) {
        prefiller(self.prefill, ask, decision, edits);
        encoders(self.encode, ask, decision, edits);
    }
}
