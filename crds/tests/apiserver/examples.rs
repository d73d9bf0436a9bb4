//! Manifests made from the schema of RoutingStrategy: for each field, one that gives it and as little else as the API
//! server takes.

use serde_json::{Map, Value, json};

/// Specs, each with the path of the field for which it was made.
pub fn specs() -> Vec<(String, Value)> {
    let definition = crds::manifest::routing_strategy().unwrap();
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
    let mut specs = examples("spec", schema);
    specs.iter_mut().for_each(|(_, spec)| complete(spec));
    specs
}

/// Values that `schema` lets through, for each field below `path` at least one that has it.
fn examples(path: &str, schema: &Value) -> Vec<(String, Value)> {
    let one = |value: Value| vec![(path.to_owned(), value)];
    if let Some(choices) = schema["enum"].as_array() {
        return choices.iter().map(|choice| (path.to_owned(), choice.clone())).collect();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return vec![(path.to_owned(), json!(1)), (path.to_owned(), json!("1500m"))];
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        // No null: kubectl leaves it out of what it makes, and compares with it, whatever the definition says.
        let free =
            json!({"a": {"b": [1, 2.5, "x", true, {"c": [], "d": {}}], "e": ""}, "f": 10_000_000_000_i64});
        return vec![(path.to_owned(), json!({})), (path.to_owned(), free)];
    }
    match schema["type"].as_str() {
        Some("object") => fields(path, schema),
        Some("array") => {
            let items = examples(&format!("{path}[]"), &schema["items"]);
            items.into_iter().map(|(path, item)| (path, json!([item]))).collect()
        }
        Some("boolean") => vec![(path.to_owned(), json!(true)), (path.to_owned(), json!(false))],
        Some("integer") => one(json!(schema["minimum"].as_i64().unwrap_or(0).max(1))),
        Some("number") => vec![(path.to_owned(), json!(1.5)), (path.to_owned(), json!(2))],
        Some("string") => one(json!("a")),
        kind => panic!("{path}: no example of {kind:?} is known; {schema}"),
    }
}

/// Objects: the least one, and with each field in each of its forms.
fn fields(path: &str, schema: &Value) -> Vec<(String, Value)> {
    if schema["additionalProperties"].is_object() {
        let values = examples(&format!("{path}.*"), &schema["additionalProperties"]);
        return values.into_iter().map(|(path, value)| (path, json!({"example.com/a": value}))).collect();
    }
    let known = Map::new();
    let known = schema["properties"].as_object().unwrap_or(&known);
    let required: Map<String, Value> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| {
            let name = name.as_str()?;
            Some((name.to_owned(), examples(name, &known[name]).remove(0).1))
        })
        .collect();
    let mut objects = vec![(path.to_owned(), Value::Object(required.clone()))];
    for (name, schema) in known {
        for (path, value) in examples(&format!("{path}.{name}"), schema) {
            let mut object = required.clone();
            object.insert(name.clone(), value);
            objects.push((path, Value::Object(object)));
        }
    }
    objects
}

/// Adds what the rules of the definition ask for beside a field.
fn complete(at: &mut Value) {
    match at {
        Value::Object(object) => {
            object.iter_mut().for_each(|(name, value)| {
                match (name.as_str(), &mut *value) {
                    ("pools", Value::Array(pools)) => pools.iter_mut().for_each(|pool| {
                        either(pool, ["name", "selector"], json!("no-such-pool"));
                    }),
                    ("gateways" | "metrics", Value::Array(peers)) => peers.iter_mut().for_each(|peer| {
                        either(peer, ["podSelector", "namespaceSelector"], json!({}));
                    }),
                    ("clientCA", ca) => either(ca, ["configMapName", "secretName"], json!("a")),
                    ("tls", Value::Object(tls)) if tls.contains_key("secretName") => {
                        tls.insert("mode".to_owned(), json!("Secret"));
                    }
                    ("tls", Value::Object(tls)) if tls.get("mode") == Some(&json!("Secret")) => {
                        tls.insert("secretName".to_owned(), json!("a"));
                    }
                    ("matchExpressions", Value::Array(requirements)) => {
                        requirements.iter_mut().for_each(|requirement| {
                            if ["In", "NotIn"].iter().any(|operator| requirement["operator"] == *operator) {
                                requirement["values"] = json!(["a"]);
                            }
                        });
                    }
                    ("routing", Value::Object(routing)) if routing.contains_key("schedulingProfiles") => {
                        routing.entry("plugins").or_insert_with(|| json!([{"type": "a"}]));
                    }
                    _ => {}
                }
                complete(value);
            });
        }
        Value::Array(items) => items.iter_mut().for_each(complete),
        _ => {}
    }
}

/// Gives `at` the first of `names` where it has none of them.
fn either(at: &mut Value, names: [&str; 2], value: Value) {
    if names.iter().all(|name| at.get(name).is_none()) {
        at[names[0]] = value;
    }
}
