//! Groups of pods that serve requests together: some prefill, some decode, and a leader takes the requests and passes them
//! on to one of each, which request headers name. What the plugins for such pools have in common.

use std::cell::Cell;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::fact::Fact;
use crate::view::View;

mod labels;
#[cfg(test)]
pub(super) mod tests;

pub use labels::GroupLabels;

/// Which pods of a view can be destinations, and who does the work then.
#[derive(Debug, Default)]
pub(super) struct Groups {
    labels_hash: u64,
    /// By position in the view, the group whose requests the pod takes.
    of: Box<[Option<u32>]>,
    groups: Box<[Group]>,
}

/// Pods that serve requests together, as positions in the view; at least one of each kind. Of a pod that serves requests
/// alone, it is both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub prefill: Box<[u32]>,
    pub decode: Box<[u32]>,
}

impl Groups {
    /// Whether these are the groups of `view`.
    pub fn is_of(&self, view: &View) -> bool {
        self.labels_hash == view.labels_hash && self.of.len() == view.len()
    }

    /// The group whose requests the pod at position `endpoint` takes; none for a pod that takes none.
    pub fn of(&self, endpoint: usize) -> Option<&Group> {
        let group = *self.of.get(endpoint)?;
        self.groups.get(group? as usize)
    }
}

/// The pods that do the work of a request, as positions in the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub prefill: usize,
    pub decode: usize,
}

/// The groups, and the pair of pods that a scorer found for each destination, for the plugins that act on the decision.
#[derive(Default)]
pub(super) struct PdGroups {
    /// None where no producer has told.
    pub groups: Option<Arc<Groups>>,
    /// Scorers only read facts: hence the cell.
    pairs: Cell<Vec<(usize, Pair)>>,
}

impl Fact for PdGroups {
    const NAME: &'static str = "grouping of prefill and decode pods";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("pd-group-producer");

    fn clear(&mut self) {
        self.groups = None;
        self.pairs.get_mut().clear();
    }
}

impl PdGroups {
    /// The group whose requests the pod at position `endpoint` takes.
    pub fn of(&self, endpoint: usize) -> Option<&Group> {
        self.groups.as_ref()?.of(endpoint)
    }

    /// Requests to the pod at position `destination` are to be done by `pair`.
    pub fn note(&self, destination: usize, pair: Pair) {
        let mut pairs = self.pairs.take();
        pairs.push((destination, pair));
        self.pairs.set(pairs);
    }

    /// The pair that was noted last for that pod.
    pub fn noted(&self, destination: usize) -> Option<Pair> {
        let pairs = self.pairs.take();
        let found = pairs.iter().rev().find(|(other, _)| *other == destination).map(|&(_, pair)| pair);
        self.pairs.set(pairs);
        found
    }

    /// The pods that compute what is sent to the pod at position `destination`: the pair that was noted for it, of whose
    /// group it is the leader, or itself.
    pub fn workers(&self, destination: usize) -> SmallVec<[usize; 2]> {
        match self.noted(destination) {
            Some(Pair { prefill, decode }) if prefill != destination => SmallVec::from_buf([prefill, decode]),
            _ => SmallVec::from_elem(destination, 1),
        }
    }
}

/// The one of `members` that costs least, and what it costs. Of equals it is one to which this picker has the fewest requests
/// in flight, and of those the first.
pub(super) fn cheapest<'a>(
    view: &View,
    members: impl IntoIterator<Item = &'a u32>,
    cost: impl Fn(usize) -> f64,
) -> (usize, f64) {
    let mut best: Option<(usize, f64, u32)> = None;
    for i in members.into_iter().map(|&i| i as usize) {
        let (cost, load) = (cost(i), view.endpoints[i].live().in_flight());
        if best.is_none_or(|(_, least, fewest)| cost < least || cost == least && load < fewest) {
            best = Some((i, cost, load));
        }
    }
    best.map_or((0, 0.0), |(i, cost, _)| (i, cost))
}
