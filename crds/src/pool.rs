//! InferencePool, in both groups under which it exists. Only read: the operator writes one field and
//! one annotation of it, as patches.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod group;
mod reference;

pub use group::PoolGroup;
pub use reference::PickerRef;

/// Spec of an InferencePool, `inference.networking.k8s.io/v1`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "inference.networking.k8s.io",
    version = "v1",
    kind = "InferencePool",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct InferencePoolSpec {
    /// Which pods are its endpoints.
    #[serde(default)]
    pub selector: PoolSelector,
    /// The ports on which each of them serves; each is an endpoint of its own.
    #[serde(default)]
    pub target_ports: Vec<TargetPort>,
    /// The endpoint picker as stored; see [`Pool::picker`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_picker_ref: Option<Value>,
}

/// Selector of a v1 pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolSelector {
    /// Labels that a pod must have.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}

/// Port of a v1 pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPort {
    /// Port of the pod.
    pub number: u16,
}

/// Spec of an InferencePool, `inference.networking.x-k8s.io/v1alpha2`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "inference.networking.x-k8s.io",
    version = "v1alpha2",
    kind = "InferencePool",
    root = "InferencePoolV1Alpha2",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct InferencePoolV1Alpha2Spec {
    /// Labels that a pod must have.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
    /// The port on which a pod serves.
    pub target_port_number: u16,
    /// The endpoint picker as stored; see [`Pool::picker`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<Value>,
}

/// An InferencePool of either group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    /// Its API.
    pub group: PoolGroup,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Labels that a pod must have to be an endpoint. Empty selects nothing.
    pub selector: BTreeMap<String, String>,
    /// The ports on which each pod serves.
    pub target_ports: Vec<u16>,
    /// The reference to the endpoint picker as stored, every field of it.
    pub stored_ref: Option<Value>,
}

impl Pool {
    /// Name of the pool.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Namespace of the pool.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// UID of the pool.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// The endpoint picker that the pool names.
    pub fn picker(&self) -> Option<PickerRef> {
        PickerRef::read(self.group, self.stored_ref.as_ref()?)
    }

    /// Whether a pod with these labels is one of its endpoints.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.selector.is_empty() && self.selector.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

impl From<&InferencePool> for Pool {
    fn from(pool: &InferencePool) -> Self {
        Self {
            group: PoolGroup::V1,
            metadata: pool.metadata.clone(),
            selector: pool.spec.selector.match_labels.clone(),
            target_ports: pool.spec.target_ports.iter().map(|p| p.number).collect(),
            stored_ref: pool.spec.endpoint_picker_ref.clone(),
        }
    }
}

impl From<&InferencePoolV1Alpha2> for Pool {
    fn from(pool: &InferencePoolV1Alpha2) -> Self {
        Self {
            group: PoolGroup::V1Alpha2,
            metadata: pool.metadata.clone(),
            selector: pool.spec.selector.clone(),
            target_ports: vec![pool.spec.target_port_number],
            stored_ref: pool.spec.extension_ref.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
