//! `topology-affinity-scorer`: prefers the endpoints near the one that does another part of the request.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::topology::{Level, Topology};
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `topology-affinity-scorer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Name of the plugin that says which labels tell the places. Without it, the only one of type `topology-extractor`,
    /// which is made with default parameters if there is none.
    topology_producer_name: Option<String>,
}

/// Scores by the nearest place that is shared.
#[derive(Debug)]
pub struct TopologyAffinityScorer(Topology);

impl Plugin for TopologyAffinityScorer {
    const TYPE: &'static str = "topology-affinity-scorer";
    const TASK: Task = Task::Labels;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Prefers endpoints on the host, in the rack, zone or region of the endpoint that an earlier profile chose for the \
         same request, such as prefill servers near the decode server.";
    const FORMULA: &'static str =
        "1 on the same host, 0.2 in the same rack, 0.05 in the same zone, 0.02 in the same region, else 0.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: topology-affinity-scorer
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
  plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer}, {pluginRef: topology-affinity-scorer, weight: 2}]
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let labels = cx.reads("topologyProducerName", params.topology_producer_name.as_deref())?;
        Ok(Roles { scorer: Some(Arc::new(Self(Topology::new(labels)))), ..Roles::default() })
    }
}

impl Scorer for TopologyAffinityScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        self.0.compare(ask, |level| {
            for (place, i) in out.iter_mut().zip(candidates.iter()) {
                *place = match level(i) {
                    Level::Host => 1.0,
                    Level::Rack => 0.2,
                    Level::Zone => 0.05,
                    Level::Region => 0.02,
                    Level::None => 0.0,
                };
            }
        });
    }
}
