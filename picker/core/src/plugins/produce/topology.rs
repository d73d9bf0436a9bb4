//! `topology-extractor`: which labels of pods say where they run.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::fact::{Own, Slot, TopologyLabels};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::role::Producer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `topology-extractor`. An empty name is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Label with the host; by default `kubernetes.io/hostname`.
    hostname: String,
    /// Label with the rack; by default `topology.kubernetes.io/rack`.
    rack: String,
    /// Label with the zone; by default `topology.kubernetes.io/zone`.
    zone: String,
    /// Label with the region; by default `topology.kubernetes.io/region`.
    region: String,
}

/// Tells the plugins that compare places by which labels they do.
#[derive(Debug)]
pub struct TopologyExtractor {
    own: Slot<TopologyLabels>,
    labels: TopologyLabels,
}

impl Plugin for TopologyExtractor {
    const TYPE: &'static str = "topology-extractor";
    const TASK: Task = Task::Labels;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Says which labels of pods have their host, rack, zone and region, for topology-affinity-filter and \
         topology-affinity-scorer. Pods have no such labels by themselves: from Kubernetes 1.35 on the API server writes zone \
         and region, the others are up to whoever makes the pods.";
    const ROLES: &'static [Role] = &[Role::Producer];
    const SAMPLE: &'static str = "\
plugins:
- type: topology-extractor
  parameters: {rack: example.com/rack}
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
  plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer}, {pluginRef: topology-affinity-scorer}]
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let TopologyLabels(defaults) = TopologyLabels::default();
        let given = [params.hostname, params.rack, params.zone, params.region];
        let mut names = (*defaults).clone();
        for (name, given) in names.iter_mut().zip(given).filter(|(_, given)| !given.is_empty()) {
            *name = given;
        }
        let producer = Self { own: cx.provides(), labels: TopologyLabels(Arc::new(names)) };
        Ok(Roles { producer: Some(Arc::new(producer)), ..Roles::default() })
    }
}

impl Producer for TopologyExtractor {
    fn produce(&self, _: &Ask<'_>, _: &Candidates, own: &mut Own) {
        own.get_mut(self.own).clone_from(&self.labels);
    }
}
