//! `encode-filter`: keeps the pods that encode images, audio and video.

use std::sync::Arc;

use super::role::RoleFilter;
use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::Filter;
use crate::view::Candidates;

/// Keeps the pods whose label says that they encode images, audio and video.
#[derive(Debug)]
pub struct EncodeFilter(RoleFilter);

impl Plugin for EncodeFilter {
    const TYPE: &'static str = "encode-filter";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Keeps the pods that encode images, audio and video: those whose label llm-d.ai/role is encode, encode-prefill or encode-prefill-decode.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: disagg-profile-handler
  parameters:
    deciders: {encode: always-disagg-multimodal-decider}
- type: always-disagg-multimodal-decider
- type: decode-filter
- type: encode-filter
- type: queue-scorer
schedulingProfiles:
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]
- name: encode
  plugins: [{pluginRef: encode-filter}, {pluginRef: queue-scorer}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let filter = RoleFilter::new(&["encode", "encode-prefill", "encode-prefill-decode"], false);
        Ok(Roles { filter: Some(Arc::new(Self(filter))), ..Roles::default() })
    }
}

impl Filter for EncodeFilter {
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
