//! The set of endpoints, each with its slot and its last readings.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use picker_core::endpoint::{Endpoint, EndpointId, EndpointSpec, Slots};

use super::readout::Readout;

/// An endpoint and its readings.
#[derive(Clone, Debug)]
pub struct Target {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
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
    pub fn apply(&mut self, wanted: &[EndpointSpec]) -> bool {
        let wanted: BTreeMap<&EndpointId, &EndpointSpec> =
            wanted.iter().map(|spec| (&spec.id, spec)).collect();
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
        for (id, spec) in wanted {
            match self.targets.entry(id.clone()) {
                Entry::Vacant(place) => {
                    let endpoint = Arc::new(self.slots.admit(spec.clone()));
                    place.insert(Target { endpoint, readout: Arc::default() });
                    changed = true;
                }
                Entry::Occupied(mut place) if !place.get().endpoint.matches(spec) => {
                    let target = place.get_mut();
                    if target.endpoint.address != spec.address {
                        target.readout = Arc::default();
                    }
                    target.endpoint = Arc::new(target.endpoint.revised(spec.clone()));
                    changed = true;
                }
                Entry::Occupied(_) => {}
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
