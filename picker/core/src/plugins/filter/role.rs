//! The stages of disaggregated serving that a pod's label says it serves.

use super::by_labels::{self, ByLabels};
use crate::endpoint::Labels;
use crate::view::{Candidates, View};

#[cfg(test)]
mod tests;

/// The label with the stages that a pod serves.
const LABEL: &str = "llm-d.ai/role";

/// Keeps the pods that serve one stage.
#[derive(Debug)]
pub(super) struct RoleFilter {
    /// The values of [`LABEL`] that stand for the stage.
    roles: &'static [&'static str],
    /// Whether a pod without the label serves it too.
    unlabelled: bool,
    by_labels: ByLabels,
}

impl RoleFilter {
    pub fn new(roles: &'static [&'static str], unlabelled: bool) -> Self {
        Self { roles, unlabelled, by_labels: ByLabels::default() }
    }

    pub fn retain(&self, view: &View, candidates: &mut Candidates) {
        self.by_labels.retain(view, candidates, |labels| self.keeps(labels));
    }

    /// Why a pod with `labels` does not serve the stage.
    pub fn why(labels: &Labels) -> String {
        by_labels::why(labels, LABEL)
    }

    fn keeps(&self, labels: &Labels) -> bool {
        labels.get(LABEL).map_or(self.unlabelled, |role| self.roles.contains(&role.as_str()))
    }
}
