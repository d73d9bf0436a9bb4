//! Pieces of schema that schemars has no attribute for.

use serde_json::{Value, json};

/// A validation rule of the API server (CEL), its message, and the field that the message is about,
/// relative to the schema that carries the rule (empty: that schema itself).
pub(crate) fn rule(rule: &str, message: &str, field: &str) -> Value {
    match field {
        "" => json!({"rule": rule, "message": message}),
        field => json!({"rule": rule, "message": message, "fieldPath": field}),
    }
}

/// Schema of an object of any content that one manager owns as a whole. A GitOps tool's server-side
/// diff misses changes below such a field when it is not atomic.
pub(crate) fn free_form(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-map-type": "atomic",
    })
}
