//! `topology-affinity-filter`: keeps the endpoints near the one that does another part of the request.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::topology::{Level, Topology};
use crate::role::Filter;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `topology-affinity-filter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The place that an endpoint must share with the one that was chosen before, or a nearer one: `host` (the default),
    /// `rack`, `zone` or `region`.
    min_affinity: MinAffinity,
    /// Name of the plugin that says which labels tell the places. Without it, the only one of type `topology-extractor`,
    /// which is made with default parameters if there is none.
    topology_producer_name: Option<String>,
}

/// A place that pods share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum MinAffinity {
    /// A node.
    #[default]
    Host,
    /// A rack.
    Rack,
    /// A zone.
    Zone,
    /// A region.
    Region,
}

/// Keeps the candidates that are near enough.
#[derive(Debug)]
pub struct TopologyAffinityFilter {
    farthest: Level,
    topology: Topology,
}

impl Plugin for TopologyAffinityFilter {
    const TYPE: &'static str = "topology-affinity-filter";
    const TASK: Task = Task::Labels;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Keeps the endpoints that share a host, rack, zone or region with the endpoint that an earlier profile chose for the \
         same request, such as prefill servers near the decode server. All stay where none was chosen before, where its \
         place is not known, and where none is near enough.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: topology-affinity-filter
  parameters: {minAffinity: zone}
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
  plugins: [{pluginRef: prefill-filter}, {pluginRef: topology-affinity-filter}, {pluginRef: queue-scorer}]
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let labels = cx.reads("topologyProducerName", params.topology_producer_name.as_deref())?;
        let farthest = match params.min_affinity {
            MinAffinity::Host => Level::Host,
            MinAffinity::Rack => Level::Rack,
            MinAffinity::Zone => Level::Zone,
            MinAffinity::Region => Level::Region,
        };
        let filter = Self { farthest, topology: Topology::new(labels) };
        Ok(Roles { filter: Some(Arc::new(filter)), ..Roles::default() })
    }
}

impl Filter for TopologyAffinityFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        self.topology.compare(ask, |level| {
            let is_near = |i| level(i) <= self.farthest;
            if keep.iter().any(is_near) {
                keep.retain(is_near);
            }
        });
    }

    fn why(&self, _: &Ask<'_>, _: usize) -> Option<String> {
        Some("is farther away than others".to_owned())
    }
}
