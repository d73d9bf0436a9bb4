//! The Service of a picker workload, which the pool refers to.

use serde_json::json;

use super::input::{EXT_PROC_PORT, Input, METRICS_PORT};
use crate::kinds::{Kind, Object};
use crate::names;

/// The Service of a pool's pickers.
pub(super) fn build(input: &Input<'_>) -> Result<Object, serde_json::Error> {
    input.object(
        Kind::Service,
        json!({"spec": {
            "type": "ClusterIP",
            "selector": names::selector(input.name),
            "ports": [
                {
                    "name": "ext-proc", "port": EXT_PROC_PORT, "targetPort": "ext-proc", "protocol": "TCP",
                    "appProtocol": "http2",
                },
                {"name": "metrics", "port": METRICS_PORT, "targetPort": "metrics", "protocol": "TCP"},
            ],
        }}),
    )
}
