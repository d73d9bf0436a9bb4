//! Filtering by the labels of pods, compared only when they change.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::endpoint::Labels;
use crate::view::{Candidates, View};

/// Which endpoints a rule about labels keeps.
///
/// Labels change seldom, and comparing them is slow next to the rest of a decision. So the result for
/// all endpoints is kept until their labels change.
#[derive(Debug, Default)]
pub(super) struct ByLabels(ArcSwap<Kept>);

#[derive(Debug, Default)]
struct Kept {
    labels_hash: u64,
    by_position: Box<[bool]>,
}

impl Kept {
    fn is_of(&self, view: &View) -> bool {
        self.labels_hash == view.labels_hash && self.by_position.len() == view.len()
    }
}

impl ByLabels {
    /// Removes from `candidates` those whose labels `keep` refuses. It must be the same rule at every call.
    pub fn retain(&self, view: &View, candidates: &mut Candidates, keep: impl Fn(&Labels) -> bool) {
        let mut kept = self.0.load();
        if !kept.is_of(view) {
            let by_position = view.endpoints.iter().map(|e| keep(&e.labels)).collect();
            let new = Arc::new(Kept { labels_hash: view.labels_hash, by_position });
            self.0.store(new.clone());
            kept = Guard::from_inner(new);
        }
        candidates.retain(|i| kept.by_position[i]);
    }
}
