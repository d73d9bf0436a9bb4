//! The ServiceMonitor by which the Prometheus operator finds the pickers.

use serde_json::json;

use super::input::Input;
use crate::kinds::{Kind, Object};
use crate::names;

/// What Prometheus shows to pickers that ask who reads their metrics: its own token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The ServiceMonitor of a pool's pickers.
pub(super) fn build(input: &Input<'_>) -> Result<Object, serde_json::Error> {
    let mut endpoint = json!({"port": "metrics", "path": "/metrics", "scheme": "http"});
    if input.picker.metrics.auth {
        endpoint["bearerTokenFile"] = TOKEN.into();
    }
    input.object(
        Kind::ServiceMonitor,
        json!({"spec": {
            "selector": {"matchLabels": names::selector(input.name)},
            "targetLabels": [names::STRATEGY, names::POOL],
            "endpoints": [endpoint],
        }}),
    )
}
