//! The labels of pods that say where they run.

use std::sync::Arc;

use super::Fact;

/// The labels of pods that say where they run, nearest first: host, rack, zone and region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyLabels(pub Arc<[String; 4]>);

impl Default for TopologyLabels {
    fn default() -> Self {
        let names = [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/rack",
            "topology.kubernetes.io/zone",
            "topology.kubernetes.io/region",
        ];
        Self(Arc::new(names.map(str::to_owned)))
    }
}

impl Fact for TopologyLabels {
    const NAME: &'static str = "topology";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("topology-extractor");

    /// The same for every request.
    fn clear(&mut self) {}
}
