//! The input of the builders of objects: the strategy, the pool, and the defaults of the operator's release.

use std::collections::BTreeMap;

use crds::picker::DEFAULT_REPLICAS;
use crds::{PickerSpec, PoolGroup};
use serde_json::{Value, json};

use super::limits::Limits;
use crate::kinds::{Kind, Object};
use crate::names;

/// Port of the Service and the container for ext_proc.
pub const EXT_PROC_PORT: u16 = 9002;
/// Port of the container for gRPC health.
pub const HEALTH_PORT: u16 = 9003;
/// Port of the Service and the container for metrics.
pub const METRICS_PORT: u16 = 9090;

/// Defaults and limits of the pickers of every strategy, from the operator's command line.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Image of pickers whose strategy names none.
    pub image: String,
    /// Release of the operator, for a label.
    pub version: String,
    /// Whether pod templates may set any field, and not only where and how large pickers run.
    pub allow_unsafe_pod_templates: bool,
    /// Labels, annotations and images that authors of strategies may ask for.
    pub limits: Limits,
}

/// Everything that the objects of one workload depend on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Name of the strategy.
    pub strategy: &'a str,
    /// UID of the strategy.
    pub uid: &'a str,
    /// Name and UID of the strategy for which the pods are made: another one where its pickers were taken over and
    /// nothing else asks for new pods.
    pub made_for: (&'a str, &'a str),
    /// Namespace of the strategy, the pool and the objects.
    pub namespace: &'a str,
    /// Name of the pool.
    pub pool: &'a str,
    /// API of the pool.
    pub group: PoolGroup,
    /// Name of the objects.
    pub name: &'a str,
    /// The picker workload that the strategy asks for.
    pub picker: &'a PickerSpec,
    /// Defaults of the operator's release.
    pub defaults: &'a Defaults,
}

impl Input<'_> {
    /// The number of replicas, or the least of an autoscaler.
    pub fn least_replicas(&self) -> i32 {
        match &self.picker.autoscaling {
            Some(autoscaling) => autoscaling.min_replicas,
            None => self.picker.replicas.unwrap_or(DEFAULT_REPLICAS),
        }
    }

    /// The labels of the pods, which no pod template may change.
    pub(super) fn pod_labels(&self) -> BTreeMap<String, String> {
        names::pod_labels(self.name, self.made_for, self.pool)
    }

    /// The labels of the Service, but for its release.
    pub(super) fn labels_of_services(&self) -> BTreeMap<String, String> {
        names::pod_labels(self.name, (self.strategy, self.uid), self.pool)
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels_of_services();
        labels.insert("app.kubernetes.io/version".to_owned(), names::label(&self.defaults.version));
        labels
    }

    pub(super) fn metadata(&self) -> Value {
        json!({
            "name": self.name,
            "namespace": self.namespace,
            "labels": self.labels(),
        })
    }

    pub(super) fn object(&self, kind: Kind, fields: Value) -> Result<Object, serde_json::Error> {
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
