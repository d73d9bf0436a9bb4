//! How near pods are to the one that does another part of the same request.

use crate::ask::Ask;
use crate::endpoint::Labels;
use crate::fact::{Slot, TopologyLabels};
use crate::plugins::per_labels::PerLabels;

#[cfg(test)]
pub(super) mod tests;

/// The nearest place that two pods share, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Host,
    Rack,
    Zone,
    Region,
    /// They share none.
    None,
}

const LEVELS: [Level; 4] = [Level::Host, Level::Rack, Level::Zone, Level::Region];

/// Where a pod runs, by level; `None` where its labels don't say.
type Place = [Option<Box<str>>; 4];

/// The places of pods.
#[derive(Debug)]
pub(super) struct Topology {
    labels: Slot<TopologyLabels>,
    places: PerLabels<Place>,
}

impl Topology {
    /// By the labels that the fact in `labels` names.
    pub fn new(labels: Slot<TopologyLabels>) -> Self {
        Self { labels, places: PerLabels::default() }
    }

    /// Calls `with` with the function that says how near the endpoint at a position is to the one that was chosen for
    /// another part of the request; not where none was chosen, or its place is not known.
    pub fn compare(&self, ask: &Ask<'_>, with: impl FnOnce(&dyn Fn(usize) -> Level)) {
        let Some(peer) = ask.done.iter().find_map(|result| result.first()) else { return };
        let names = &ask.facts.get(self.labels).0;
        let places = self.places.of(ask.view, |labels| place(labels, names));
        let peer = &places[peer];
        if peer.iter().any(Option::is_some) {
            with(&|i| nearest(peer, &places[i]));
        }
    }
}

fn place(labels: &Labels, names: &[String; 4]) -> Place {
    names
        .each_ref()
        .map(|name| labels.get(name).filter(|value| !value.is_empty()).map(|value| value.as_str().into()))
}

fn nearest(one: &Place, other: &Place) -> Level {
    let shared = one.iter().zip(other).position(|(one, other)| one.is_some() && one == other);
    shared.map_or(Level::None, |level| LEVELS[level])
}
