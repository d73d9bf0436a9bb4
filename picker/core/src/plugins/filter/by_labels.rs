//! Filtering by the labels of pods, compared only when they change.

use crate::endpoint::Labels;
use crate::plugins::per_labels::PerLabels;
use crate::view::{Candidates, View};

/// What a pod with `labels` says under `label`, as the reason why it was removed.
pub(super) fn why(labels: &Labels, label: &str) -> String {
    match labels.get(label) {
        Some(value) => format!("label {label} is {value}"),
        None => format!("has no label {label}"),
    }
}

/// Which endpoints a rule about labels keeps.
#[derive(Debug, Default)]
pub(super) struct ByLabels(PerLabels<bool>);

impl ByLabels {
    /// Removes from `candidates` those whose labels `keep` refuses. It must be the same rule at every call.
    pub fn retain(&self, view: &View, candidates: &mut Candidates, keep: impl Fn(&Labels) -> bool) {
        let kept = self.0.of(view, keep);
        candidates.retain(|i| kept[i]);
    }
}
