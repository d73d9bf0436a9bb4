//! Readers of objects from their JSON text, which cut off the parts that anybody may nest as deeply as they like: the
//! decoder refuses more than 128 levels, and with them everything around them.

use std::collections::BTreeMap;

use crds::{InferencePool, InferencePoolV1Alpha2, Pool};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference, Time};
use kube::Resource;
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cache::pods::PodFacts;

/// The fields of an object, each as its text.
pub(super) type Fields = BTreeMap<String, Box<RawValue>>;

pub(super) fn fields(text: &str) -> Option<Fields> {
    serde_json::from_str(text).ok()
}

pub(super) fn joined(fields: &Fields) -> Option<Box<RawValue>> {
    RawValue::from_string(serde_json::to_string(fields).ok()?).ok()
}

/// An object's text without `metadata.managedFields`, and the text of these. A text that is no object is left.
pub(super) fn without_managers(text: &str) -> (String, Option<Box<RawValue>>) {
    let cut = || {
        let mut object = fields(text)?;
        let mut metadata = fields(object.get("metadata")?.get())?;
        let managers = metadata.remove("managedFields")?;
        object.insert("metadata".to_owned(), joined(&metadata)?);
        Some((serde_json::to_string(&object).ok()?, managers))
    };
    match cut() {
        Some((text, managers)) => (text, Some(managers)),
        None => (text.to_owned(), None),
    }
}

/// The entries that can be read. One that can't is of no manager that matters: nobody who means well nests
/// the fields of a pool so deeply.
fn managers(text: &str) -> Vec<ManagedFieldsEntry> {
    let entries: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap_or_default();
    entries.iter().filter_map(|entry| serde_json::from_str(entry.get()).ok()).collect()
}

/// A reader of the objects of one kind from their text, which leaves out what can't be decoded.
pub(crate) trait ReadPartial: Sized {
    /// The kind as the API server calls it.
    type Kind: Resource;

    /// Reads an object.
    ///
    /// # Errors
    /// Why it can't be read.
    fn read(text: &str) -> Result<Self, String>;
}

fn decode<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

impl ReadPartial for DynamicObject {
    type Kind = Self;

    /// The object; where that can't be read, its metadata alone.
    fn read(text: &str) -> Result<Self, String> {
        let (text, _) = without_managers(text);
        decode(&text).or_else(|why| {
            let metadata = || {
                let mut object = fields(&text)?;
                object.retain(|name, _| ["apiVersion", "kind", "metadata"].contains(&name.as_str()));
                serde_json::from_str(joined(&object)?.get()).ok()
            };
            metadata().ok_or(why)
        })
    }
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
        let (text, held) = without_managers(text);
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
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodMetadata {
    name: String,
    namespace: String,
    labels: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<Time>,
    owner_references: Option<Vec<OwnerReference>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
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
        let PodText { metadata, status } = decode(text)?;
        let ready = status.conditions.iter().flatten().any(|c| c.kind == "Ready" && c.status == "True");
        Ok(Self {
            replica_set: metadata
                .owner_references
                .into_iter()
                .flatten()
                .find(|owner| owner.kind == "ReplicaSet" && owner.controller == Some(true))
                .map(|owner| owner.name),
            ready: ready && metadata.deletion_timestamp.is_none(),
            name: metadata.name,
            namespace: metadata.namespace,
            labels: metadata.labels.unwrap_or_default(),
        })
    }
}
