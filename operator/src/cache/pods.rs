//! What matters of a pod.

use std::collections::BTreeMap;

use crate::names;

/// What the operator remembers of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is ready and not being deleted.
    pub ready: bool,
}

impl PodFacts {
    /// Name of the strategy whose picker it is.
    pub fn strategy(&self) -> Option<&str> {
        let is_picker = self.labels.get(names::COMPONENT).is_some_and(|c| c == names::COMPONENT_PICKER);
        self.labels.get(names::STRATEGY).filter(|_| is_picker).map(String::as_str)
    }
}
