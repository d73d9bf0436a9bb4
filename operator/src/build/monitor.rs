//! The ServiceMonitor by which the Prometheus operator finds the pickers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::input::Input;
use crate::kinds::{Kind, Object};
use crate::names;

/// What Prometheus shows to pickers that ask who reads their metrics: its own token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The rules by which Prometheus passes over pods that have not all these labels.
fn own_pods(labels: &BTreeMap<String, String>) -> Value {
    let keep = |(name, value): (&String, &String)| {
        let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let label: String = name.chars().map(legal).collect();
        json!({
            "action": "keep",
            "sourceLabels": [format!("__meta_kubernetes_pod_label_{label}")],
            // Prometheus anchors it. Of what a label may hold only the dot has a meaning.
            "regex": value.replace('.', "\\."),
        })
    };
    labels.iter().map(keep).collect()
}

/// The ServiceMonitor of a pool's pickers.
pub(super) fn build(input: &Input<'_>) -> Result<Object, serde_json::Error> {
    let mut endpoint = json!({"port": "metrics", "path": "/metrics", "scheme": "http"});
    if input.picker.metrics.auth {
        endpoint["bearerTokenFile"] = TOKEN.into();
        // The Service chooses pods by two labels that others may have too, and keeps doing so for the sake of pods that an
        // earlier release made. The token is for those alone that were made for this very strategy.
        endpoint["relabelings"] = own_pods(&input.pod_labels());
    }
    input.object(
        Kind::ServiceMonitor,
        json!({"spec": {
            "selector": {"matchLabels": input.labels_of_services()},
            "targetLabels": [names::STRATEGY, names::POOL],
            "endpoints": [endpoint],
        }}),
    )
}
