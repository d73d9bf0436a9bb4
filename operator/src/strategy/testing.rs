//! A small world for tests: one strategy, one pool, and what was made for it.

use std::sync::Arc;

use crds::{InferencePool, Pool, RoutingStrategy};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::build::{self, Defaults, Limits};
use crate::cache::PodFacts;
use crate::drift;
use crate::strategy::memory::Remembered;
use crate::strategy::snapshot::Snapshot;

/// A strategy called chat.
pub(crate) fn strategy(spec: Value) -> RoutingStrategy {
    serde_json::from_value(json!({
        "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
        "metadata": {"name": "chat", "namespace": "llm", "uid": "uid-chat", "generation": 7,
            "creationTimestamp": "2026-01-02T00:00:00Z"},
        "spec": spec,
    }))
    .unwrap()
}

/// A v1 pool whose picker is `picker`.
pub(crate) fn pool(name: &str, picker: &str) -> Pool {
    let pool: InferencePool = serde_json::from_value(json!({
        "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
        "metadata": {"name": name, "namespace": "llm", "uid": format!("uid-{name}"), "resourceVersion": "5"},
        "spec": {
            "selector": {"matchLabels": {"app": name}}, "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"group": "", "kind": "Service", "name": picker, "port": {"number": 9002},
                "failureMode": "FailClose"},
        },
    }))
    .unwrap();
    Pool::from(&pool)
}

/// A pod with labels.
pub(crate) fn pod(name: &str, labels: &[(&str, &str)], ready: bool) -> Arc<PodFacts> {
    let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let (name, namespace) = (name.to_owned(), "llm".to_owned());
    Arc::new(PodFacts { name, namespace, labels, replica_set: None, ready, host: None, problem: None })
}

/// A strategy that claims the pool qwen, which is there.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        strategy: Arc::new(strategy(json!({"pools": [{"name": "qwen"}]}))),
        others: Vec::new(),
        pools: vec![Arc::new(pool("qwen", "old-epp"))],
        unserved: Vec::new(),
        monitors: true,
        owned: Vec::new(),
        pods: Vec::new(),
        remembered: Remembered::default(),
        orphans: false,
        overlap: None,
    }
}

/// The defaults of a release.
pub(crate) fn defaults() -> Defaults {
    Defaults {
        image: "waypost/picker:0.1.0".to_owned(),
        version: "0.1.0".to_owned(),
        allow_unsafe_pod_templates: false,
        limits: Limits::default(),
    }
}

/// An object with the name of the ClusterRoleBinding of chat, made for `strategy`.
pub(crate) fn rights(strategy: &str) -> DynamicObject {
    let mut object = build::auth::binding("llm", strategy, "0.1.0", &["qwen-picker"]).unwrap();
    object.content.metadata.name = Some("waypost:llm:chat".to_owned());
    drift::seal(&mut object.content);
    object.content
}

/// The owner reference to a strategy that an earlier release gave to objects.
pub(crate) fn former_owner(strategy: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy", "name": strategy, "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}
