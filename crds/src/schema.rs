//! Pieces of schema that schemars has no attribute for.

use k8s_openapi::api::core::v1::ResourceRequirements;
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

/// The most fields of an object of any content: the length of what they contain is no matter of a schema.
pub(crate) const MAX_FIELDS: u32 = 64;

/// Schema of an object of any content that one manager owns as a whole. A GitOps tool's server-side
/// diff misses changes below such a field when it is not atomic.
pub(crate) fn free_form(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-map-type": "atomic",
        "maxProperties": MAX_FIELDS,
    })
}

/// Schema of a container's resources, bounded.
pub(crate) fn resources(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = ResourceRequirements::json_schema(generator);
    for amounts in ["/properties/limits", "/properties/requests"] {
        if let Some(amounts) = schema.pointer_mut(amounts) {
            amounts["maxProperties"] = MAX_AMOUNTS.into();
        }
    }
    if let Some(claims) = schema.pointer_mut("/properties/claims") {
        claims["maxItems"] = MAX_AMOUNTS.into();
    }
    schema
}

/// Most resources that are limited or requested.
const MAX_AMOUNTS: u32 = 16;
/// Most labels of a selector, and most values of one of its requirements.
const MAX_LABELS: u32 = 64;

/// Requirements of a selector; bounds the estimated cost of the rule on each.
const MAX_REQUIREMENTS: u32 = 32;

/// Longest key of a label, with its prefix, and longest value.
const MAX_KEY: u32 = 317;
const MAX_VALUE: u32 = 63;

/// Schema of a label selector that lets through only what selects something: its own says the rest in words
/// alone, and an operator that doesn't exist would select nothing without a word.
pub(crate) fn selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = LabelSelector::json_schema(generator);
    schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    if let Some(labels) = schema.pointer_mut("/properties/matchLabels") {
        labels["maxProperties"] = MAX_LABELS.into();
        labels["additionalProperties"]["maxLength"] = MAX_VALUE.into();
    }
    if let Some(requirements) = schema.pointer_mut("/properties/matchExpressions") {
        requirements["maxItems"] = MAX_REQUIREMENTS.into();
        let requirement = &mut requirements["items"];
        requirement["properties"]["key"]["maxLength"] = MAX_KEY.into();
        requirement["properties"]["values"]["maxItems"] = MAX_LABELS.into();
        requirement["properties"]["values"]["items"]["maxLength"] = MAX_VALUE.into();
        requirement["properties"]["operator"]["enum"] = json!(["In", "NotIn", "Exists", "DoesNotExist"]);
        requirement["x-kubernetes-validations"] = json!([rule(
            "(self.operator == 'In' || self.operator == 'NotIn') == (has(self.values) && size(self.values) > 0)",
            "In and NotIn need values; Exists and DoesNotExist take none",
            ".values",
        )]);
    }
    schema
}
