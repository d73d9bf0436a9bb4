//! The set of endpoints, each with its slot and its last readings.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use picker_core::endpoint::{Endpoint, EndpointId, Slots};

use super::readout::Readout;
use super::wanted::{PageHosts, WantedEndpoint};

/// An endpoint and its readings.
#[derive(Clone, Debug)]
pub struct Target {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Where pages about it are.
    pub pages: PageHosts,
    /// Its last reading.
    pub readout: Arc<Readout>,
}

/// The set of endpoints.
#[derive(Debug, Default)]
pub struct EndpointSet {
    slots: Slots,
    targets: BTreeMap<EndpointId, Target>,
}

impl EndpointSet {
    /// Makes the endpoints those of `wanted`. One that stays keeps its slot, its counters and its
    /// readings. Returns whether anything changed.
    pub fn apply(&mut self, wanted: impl IntoIterator<Item = impl Into<WantedEndpoint>>) -> bool {
        let wanted = wanted.into_iter().map(Into::into);
        let wanted: BTreeMap<EndpointId, WantedEndpoint> =
            wanted.map(|wanted: WantedEndpoint| (wanted.spec.id.clone(), wanted)).collect();
        let before = self.targets.len();
        let slots = &mut self.slots;
        self.targets.retain(|id, target| {
            let stays = wanted.contains_key(id);
            if !stays {
                slots.release(&target.endpoint);
            }
            stays
        });
        let mut changed = self.targets.len() != before;
        for (id, WantedEndpoint { spec, pages }) in wanted {
            match self.targets.entry(id) {
                Entry::Vacant(place) => {
                    let endpoint = Arc::new(self.slots.admit(spec));
                    place.insert(Target { endpoint, pages, readout: Arc::default() });
                    changed = true;
                }
                Entry::Occupied(mut place) => {
                    let target = place.get_mut();
                    if !target.endpoint.matches(&spec) {
                        if target.endpoint.address != spec.address {
                            target.readout = Arc::default();
                        }
                        target.endpoint = Arc::new(target.endpoint.revised(spec));
                        changed = true;
                    }
                    if target.pages != pages {
                        target.pages = pages;
                        changed = true;
                    }
                }
            }
        }
        changed
    }

    /// The endpoints, ordered by id.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = &Target> {
        self.targets.values()
    }
}

#[cfg(test)]
mod tests;
