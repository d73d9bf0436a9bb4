//! The readers of pools and pods from their JSON text, which leave out the parts that anybody may nest as deeply as they
//! like.

use std::collections::BTreeMap;

use crds::{InferencePool, InferencePoolV1Alpha2, Pool};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference, Time};
use kube::Resource;
use kube_ext::host_network::{HostPod, PodNetwork, active_ports, has_ended};
use kube_ext::raw_fields::without_managed_fields;
use kube_ext::read_partial::{ReadPartial, decode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::pods::PodFacts;
use super::problem::PodProblem;
use crate::names;

/// The entries that can be read. One that can't is of no manager that matters: nobody who means well nests
/// the fields of a pool so deeply.
fn managers(text: &str) -> Vec<ManagedFieldsEntry> {
    let entries: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap_or_default();
    entries.iter().filter_map(|entry| serde_json::from_str(entry.get()).ok()).collect()
}

/// An InferencePool of one API.
pub(crate) trait PoolKind: Resource<DynamicType = ()> + for<'de> Deserialize<'de> {
    /// As what both have in common.
    fn pool(&self) -> Pool;
}

impl PoolKind for InferencePool {
    fn pool(&self) -> Pool {
        Pool::from(self)
    }
}

impl PoolKind for InferencePoolV1Alpha2 {
    fn pool(&self) -> Pool {
        Pool::from(self)
    }
}

/// A pool, read as `K`.
#[derive(Clone, Debug)]
pub(crate) struct PoolOf<K> {
    pub pool: Pool,
    kind: std::marker::PhantomData<fn() -> K>,
}

impl<K: PoolKind> ReadPartial for PoolOf<K> {
    type Kind = K;

    fn read(text: &str) -> Result<Self, String> {
        let (text, held) = without_managed_fields(text);
        let mut pool = decode::<K>(&text)?.pool();
        pool.metadata.managed_fields = held.map(|held| managers(held.get()));
        Ok(Self { pool, kind: std::marker::PhantomData })
    }
}

/// What is read of a pod. The rest is passed over, however it looks.
#[derive(Deserialize)]
struct PodText {
    #[serde(default)]
    metadata: PodMetadata,
    #[serde(default)]
    spec: PodNetwork,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodMetadata {
    name: String,
    namespace: String,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<Time>,
    owner_references: Option<Vec<OwnerReference>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    phase: Option<String>,
    conditions: Option<Vec<PodCondition>>,
}

#[derive(Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl ReadPartial for PodFacts {
    type Kind = Pod;

    fn read(text: &str) -> Result<Self, String> {
        let PodText { metadata, spec, status } = decode(text)?;
        let active = metadata.annotations.as_ref().and_then(active_ports);
        let runs = !status.phase.as_deref().is_some_and(has_ended);
        let address = status.pod_ip.as_deref().filter(|_| runs).and_then(|ip| ip.parse().ok());
        let host = address.and_then(|address| HostPod::of(&spec, address, active.as_ref()));
        let ready = status.conditions.iter().flatten().any(|c| c.kind == "Ready" && c.status == "True");
        let labels = metadata.labels.unwrap_or_default();
        let is_going = metadata.deletion_timestamp.is_some();
        // Of model servers, of which there are many more, it is not of interest.
        let problem = (!ready && !is_going && names::is_picker(&labels))
            .then(|| PodProblem::read(text).map(Box::new))
            .flatten();
        Ok(Self {
            replica_set: metadata
                .owner_references
                .into_iter()
                .flatten()
                .find(|owner| owner.kind == "ReplicaSet" && owner.controller == Some(true))
                .map(|owner| owner.name),
            ready: ready && !is_going,
            name: metadata.name,
            namespace: metadata.namespace,
            labels,
            host,
            problem,
        })
    }
}

#[cfg(test)]
mod tests;
