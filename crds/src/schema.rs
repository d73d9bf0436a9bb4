//! Pieces of schema that schemars has no attribute for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::{JsonSchema as _, Schema, SchemaGenerator};
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
pub(crate) fn free_form(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-map-type": "atomic",
    })
}

/// Requirements of a selector; bounds the estimated cost of the rule on each.
const MAX_REQUIREMENTS: u32 = 32;

/// Schema of a label selector that lets through only what selects something: its own says the rest in words
/// alone, and an operator that doesn't exist would select nothing without a word.
pub(crate) fn selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = LabelSelector::json_schema(generator);
    schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    if let Some(requirements) = schema.pointer_mut("/properties/matchExpressions") {
        requirements["maxItems"] = MAX_REQUIREMENTS.into();
        let requirement = &mut requirements["items"];
        requirement["properties"]["operator"]["enum"] = json!(["In", "NotIn", "Exists", "DoesNotExist"]);
        requirement["x-kubernetes-validations"] = json!([rule(
            "(self.operator == 'In' || self.operator == 'NotIn') == (has(self.values) && size(self.values) > 0)",
            "In and NotIn need values; Exists and DoesNotExist take none",
            ".values",
        )]);
    }
    schema
}
