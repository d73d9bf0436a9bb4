//! The few facts of a pod that the operator keeps.

use std::collections::BTreeMap;

use kube_ext::host_network::HostPod;

use super::problem::PodProblem;
use crate::names;

/// The facts of a pod that the operator keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Name of the ReplicaSet that it belongs to.
    pub replica_set: Option<String>,
    /// Whether it is ready and not being deleted.
    pub ready: bool,
    /// What it says of its ports, if its address is that of its node.
    pub host: Option<HostPod>,
    /// Why it is not ready, if it is a picker that is neither ready nor being deleted.
    pub problem: Option<Box<PodProblem>>,
}

impl PodFacts {
    /// Whether it is labelled as a picker.
    pub fn is_picker(&self) -> bool {
        names::is_picker(&self.labels)
    }

    /// Name of the Deployment that it is a pod of: its ReplicaSets are called like it, and by the hash that is on
    /// their pods. (A reference to one that isn't there is the end of a pod.)
    pub fn deployment(&self) -> Option<&str> {
        let hash = self.labels.get("pod-template-hash")?;
        self.replica_set.as_deref()?.strip_suffix(hash.as_str())?.strip_suffix('-')
    }

    /// Whether it is a pod of the Deployment called `name`.
    pub fn is_of(&self, name: &str) -> bool {
        self.deployment() == Some(name)
    }
}
