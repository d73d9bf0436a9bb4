//! `always-disagg-pd-decider`: sends every request to a prefill server first.

use std::sync::Arc;

use crate::ask::Ask;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::Decider;

/// Says yes to every request.
#[derive(Debug)]
pub struct AlwaysDisaggPdDecider;

impl Plugin for AlwaysDisaggPdDecider {
    const TYPE: &'static str = "always-disagg-pd-decider";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Lets a prefill server prefill every request, however short.";
    const ROLES: &'static [Role] = &[Role::Decider];
    const SAMPLE: &'static str = "\
plugins:
- type: always-disagg-pd-decider
- type: disagg-profile-handler
  parameters:
    deciders: {prefill: always-disagg-pd-decider}
- type: decode-filter
- type: prefill-filter
- type: queue-scorer
schedulingProfiles:
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { decider: Some(Arc::new(Self)), ..Roles::default() })
    }
}

impl Decider for AlwaysDisaggPdDecider {
    fn decide(&self, _: &Ask<'_>) -> bool {
        true
    }
}
