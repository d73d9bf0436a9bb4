//! `prefill-filter`: keeps the pods that prefill.

use std::sync::Arc;

use super::role::RoleFilter;
use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::Filter;
use crate::view::Candidates;

/// Keeps the pods whose label says that they prefill.
#[derive(Debug)]
pub struct PrefillFilter(RoleFilter);

impl Plugin for PrefillFilter {
    const TYPE: &'static str = "prefill-filter";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Keeps the pods that prefill: those whose label llm-d.ai/role is prefill, encode-prefill, prefill-decode, both or encode-prefill-decode. both is a former name of prefill-decode.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
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
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let filter = RoleFilter::new(
            &["prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"],
            false,
        );
        Ok(Roles { filter: Some(Arc::new(Self(filter))), ..Roles::default() })
    }
}

impl Filter for PrefillFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        self.0.retain(ask.view, keep);
    }

    fn is_by_labels(&self) -> bool {
        true
    }

    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        Some(RoleFilter::why(&ask.view.endpoints[endpoint].labels))
    }
}
