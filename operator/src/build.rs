//! The objects that are made for a pool: pure functions from what is wanted to what is applied.

use std::collections::BTreeMap;

use crds::{PickerSpec, PoolGroup};
use serde_json::{Value, json};

use crate::kinds::{Kind, Object};
use crate::names;

pub mod auth;
pub mod deployment;
pub mod hpa;
pub mod limits;
pub mod monitor;
pub mod overlay;
pub mod pdb;
pub mod rbac;
pub mod service;
pub mod service_account;
#[cfg(test)]
mod tests;

pub use limits::Limits;
pub use overlay::OverlayError;

/// Port of the Service and the container for ext_proc.
pub const EXT_PROC_PORT: u16 = 9002;
/// Port of the container for gRPC health.
pub const HEALTH_PORT: u16 = 9003;
/// Port of the Service and the container for metrics.
pub const METRICS_PORT: u16 = 9090;

/// Pickers of a strategy that doesn't say how many.
const DEFAULT_REPLICAS: i32 = 2;

/// What the operator's release decides.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Image of pickers whose strategy names none.
    pub image: String,
    /// Release of the operator, for a label.
    pub version: String,
    /// Whether pod templates may say anything, and not only where and how large pickers run.
    pub allow_unsafe_pod_templates: bool,
    /// What else authors of strategies may ask for.
    pub limits: Limits,
}

/// Everything that the objects of one pool depend on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Name of the strategy.
    pub strategy: &'a str,
    /// UID of the strategy.
    pub uid: &'a str,
    /// Namespace of all of it.
    pub namespace: &'a str,
    /// Name of the pool.
    pub pool: &'a str,
    /// API of the pool.
    pub group: PoolGroup,
    /// Name of the objects.
    pub name: &'a str,
    /// The workload that is asked for.
    pub picker: &'a PickerSpec,
    /// What the release decides.
    pub defaults: &'a Defaults,
}

impl Input<'_> {
    /// Pickers that are always there.
    pub fn least_replicas(&self) -> i32 {
        match &self.picker.autoscaling {
            Some(autoscaling) => autoscaling.min_replicas,
            None => self.picker.replicas.unwrap_or(DEFAULT_REPLICAS),
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = names::pod_labels(self.name, self.strategy, self.pool);
        labels.insert("app.kubernetes.io/version".to_owned(), names::label(&self.defaults.version));
        labels
    }

    fn metadata(&self) -> Value {
        json!({
            "name": self.name,
            "namespace": self.namespace,
            "labels": self.labels(),
            "ownerReferences": [owner(self.strategy, self.uid)],
        })
    }

    fn object(&self, kind: Kind, fields: Value) -> Result<Object, serde_json::Error> {
        let resource = kind.resource();
        let mut object = json!({
            "apiVersion": resource.api_version, "kind": resource.kind, "metadata": self.metadata(),
        });
        if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
            object.extend(fields);
        }
        Object::new(kind, &object)
    }
}

/// The owner reference to a strategy: with it goes all that it owns.
pub fn owner(strategy: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "waypost.dev/v1alpha1",
        "kind": "RoutingStrategy",
        "name": strategy,
        "uid": uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// All objects of one pool, in the order in which they are to be made.
///
/// # Errors
/// When the pod template can't be laid over ours.
pub fn objects(input: &Input<'_>) -> Result<Vec<Object>, OverlayError> {
    let mut objects = vec![
        service_account::build(input)?,
        rbac::role(input)?,
        rbac::binding(input)?,
        service::build(input)?,
        deployment::build(input)?,
    ];
    if input.least_replicas() > 1 {
        objects.push(pdb::build(input)?);
    }
    if let Some(autoscaling) = &input.picker.autoscaling {
        objects.push(hpa::build(input, autoscaling)?);
    }
    if input.picker.metrics.service_monitor {
        objects.push(monitor::build(input)?);
    }
    Ok(objects)
}
