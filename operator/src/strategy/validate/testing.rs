//! A small world for tests.

use std::sync::Arc;

use crds::{InferencePool, Pool, RoutingStrategy};
use serde_json::{Value, json};

use crate::cache::PodFacts;
use crate::strategy::dereference::Snapshot;

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
    Arc::new(PodFacts { name, namespace, labels, replica_set: None, ready })
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
        kept: None,
    }
}
