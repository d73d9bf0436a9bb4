//! The parameters of a plugin, as their JSON schema describes them.

use serde_json::Value;

/// The fields of an object: name, schema, and whether it must be there.
pub(super) fn fields(object: &Value) -> impl Iterator<Item = (&str, &Value, bool)> {
    let required =
        move |name: &str| object["required"].as_array().is_some_and(|list| list.iter().any(|r| r == name));
    let all = object["properties"].as_object().into_iter().flatten();
    all.map(move |(name, property)| (name.as_str(), property, required(name)))
}

/// The definition that a bare reference stands for.
pub(super) fn resolve<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let target = property["$ref"].as_str().and_then(|target| schema.pointer(target.strip_prefix('#')?));
    match target {
        Some(target) if property.get("description").is_none() => target,
        _ => property,
    }
}

/// The type of a parameter in words.
pub(super) fn kind(property: &Value, schema: &Value) -> String {
    let choices = property["enum"].as_array();
    if let Some(choices) = choices {
        return choices.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    if let Some(target) =
        property["$ref"].as_str().and_then(|target| schema.pointer(target.strip_prefix('#')?))
    {
        return kind(target, schema);
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(parts) = property[several].as_array() {
            let parts: Vec<_> =
                parts.iter().map(|part| kind(part, schema)).filter(|kind| kind != "null").collect();
            return parts.join(" or ");
        }
    }
    if let Some(constant) = property.get("const") {
        return constant.to_string();
    }
    match &property["type"] {
        Value::String(kind) if kind == "array" => {
            format!("list of {}", self::kind(&property["items"], schema))
        }
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}
