//! The parameters of a plugin, as their JSON schema describes them, the names of its roles, and the title of its formula.

use picker_core::plugin::{Registration, Role};
use serde_json::Value;

/// One parameter of a plugin.
#[derive(Debug, PartialEq)]
pub(super) struct Parameter {
    /// Its path: `threshold.value`, `metrics[].name`.
    pub path: String,
    /// Its type in words, with the range of a number where that is narrower than its type's.
    pub kind: String,
    /// Its default as JSON, `required`, or nothing.
    pub default: String,
    /// Whether configurations should no longer name it.
    pub deprecated: bool,
    /// What it means.
    pub description: String,
}

/// All parameters that `schema` describes, those within objects and lists after the one that has them.
pub(super) fn parameters(schema: &Value) -> Vec<Parameter> {
    let mut all = Vec::new();
    collect("", schema, schema, &mut all);
    all
}

fn collect(prefix: &str, object: &Value, schema: &Value, all: &mut Vec<Parameter>) {
    for (name, property, required) in fields(object) {
        let described = resolve(property, schema);
        let path = format!("{prefix}{name}");
        all.push(Parameter {
            kind: format!("{}{}", kind(property, schema), range(property)),
            default: match described.get("default") {
                Some(default) if !default.is_null() => default.to_string(),
                _ if required => "required".to_owned(),
                _ => String::new(),
            },
            deprecated: property["deprecated"] == true,
            description: described["description"].as_str().unwrap_or_default().to_owned(),
            path: path.clone(),
        });
        collect(&format!("{path}."), inner(property, schema), schema, all);
        collect(&format!("{path}[]."), inner(&property["items"], schema), schema, all);
    }
}

/// The object that `property` is, also where it may be left out; null where it is none.
fn inner<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let property = target(property, schema);
    let choices = property["anyOf"].as_array().into_iter().flatten();
    let mut all = choices.map(|choice| target(choice, schema)).chain([property]);
    all.find(|object| object["properties"].is_object()).unwrap_or(&Value::Null)
}

/// The definition that a reference stands for.
fn target<'a>(value: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    pointer.and_then(|pointer| schema.pointer(pointer)).unwrap_or(value)
}

/// The range of a number, where it is narrower than that of its type.
fn range(property: &Value) -> String {
    match (&property["minimum"], &property["maximum"]) {
        (Value::Null, Value::Null) => String::new(),
        (least, Value::Null) if least.as_f64() == Some(0.0) => String::new(),
        (least, Value::Null) => format!(", at least {least}"),
        (Value::Null, most) => format!(", at most {most}"),
        (least, most) => format!(", {least} to {most}"),
    }
}

/// The fields of an object: name, schema, and whether it must be there.
fn fields(object: &Value) -> impl Iterator<Item = (&str, &Value, bool)> {
    let required =
        move |name: &str| object["required"].as_array().is_some_and(|list| list.iter().any(|r| r == name));
    let all = object["properties"].as_object().into_iter().flatten();
    all.map(move |(name, property)| (name.as_str(), property, required(name)))
}

/// The definition that a bare reference stands for.
fn resolve<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    if property.get("description").is_none() { target(property, schema) } else { property }
}

/// The type of a parameter in words.
fn kind(property: &Value, schema: &Value) -> String {
    let choices = property["enum"].as_array();
    if let Some(choices) = choices {
        return choices.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    if property["$ref"].is_string() {
        return kind(target(property, schema), schema);
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

/// What the formula of a plugin says: the score of a server, or a rule of its own.
pub(super) fn formula_title(plugin: &Registration) -> &'static str {
    if plugin.roles.contains(&Role::Scorer) { "Score" } else { "Rule" }
}

/// The names of the roles of a plugin.
pub(super) fn roles(plugin: &Registration) -> Vec<&'static str> {
    plugin.roles.iter().map(|role| role.name()).collect()
}
