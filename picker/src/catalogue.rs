//! `picker plugins`: the plugins, with their parameters as their schemas describe them.

use std::io::Write;

use picker_core::plugin::Registration;
use picker_core::plugins::builtin;
use serde_json::{Value, json};

use crate::args::Output;

mod markdown;
#[cfg(test)]
mod tests;

/// Lists the plugins called `types`, or all of them. Returns the exit code: 2 when a type doesn't exist.
pub fn run(types: &[String], output: Output, out: &mut impl Write) -> u8 {
    let mut listed: Vec<&Registration> = Vec::new();
    for name in types {
        let Some(found) = builtin().find(name) else {
            // What can't be written to a closed pipe is not wanted.
            let types: Vec<_> = builtin().types().collect();
            let _ = writeln!(out, "there is no plugin type {name:?}; there are: {}", types.join(", "));
            return 2;
        };
        listed.push(found);
    }
    if types.is_empty() {
        listed.extend(builtin().all());
    }
    let text = match output {
        Output::Text => listed.into_iter().map(text).collect::<Vec<_>>().join("\n"),
        Output::Json => format!("{:#}\n", Value::Array(listed.into_iter().map(value).collect())),
        Output::Markdown => markdown::page(&listed),
    };
    let _ = out.write_all(text.as_bytes());
    0
}

fn roles(plugin: &Registration) -> Vec<&'static str> {
    plugin.roles.iter().map(|role| role.name()).collect()
}

fn value(plugin: &Registration) -> Value {
    json!({
        "type": plugin.kind,
        "stability": plugin.stability.name(),
        "formerly": plugin.aliases,
        "roles": roles(plugin),
        "summary": plugin.summary,
        "score": plugin.formula,
        "writes": plugin.writes,
        "sample": plugin.sample,
        "parameters": plugin.schema(),
    })
}

fn text(plugin: &Registration) -> String {
    let mut text = format!("{} ({})\n    {}\n", plugin.kind, roles(plugin).join(", "), plugin.summary);
    if !plugin.formula.is_empty() {
        text.push_str(&format!("    Score: {}\n", plugin.formula));
    }
    let schema = plugin.schema();
    let schema = schema.as_value();
    for (name, property, required) in fields(schema) {
        let property = resolve(property, schema);
        let default = match property.get("default") {
            Some(default) if !default.is_null() => format!(", default {default}"),
            _ if required => ", required".to_owned(),
            _ => String::new(),
        };
        text.push_str(&format!("    - {name}: {}{default}\n", kind(property, schema)));
        let description = property["description"].as_str().unwrap_or_default();
        for line in description.lines().filter(|line| !line.trim().is_empty()) {
            text.push_str(&format!("        {}\n", line.trim()));
        }
    }
    text
}

/// Name, schema, and whether it must be there, of each field of an object.
fn fields(object: &Value) -> impl Iterator<Item = (&str, &Value, bool)> {
    let required =
        move |name: &str| object["required"].as_array().is_some_and(|list| list.iter().any(|r| r == name));
    let all = object["properties"].as_object().into_iter().flatten();
    all.map(move |(name, property)| (name.as_str(), property, required(name)))
}

/// The definition that a bare reference stands for.
fn resolve<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    let target = property["$ref"].as_str().and_then(|target| schema.pointer(target.strip_prefix('#')?));
    match target {
        Some(target) if property.get("description").is_none() => target,
        _ => property,
    }
}

/// The type of a parameter in words.
fn kind(property: &Value, schema: &Value) -> String {
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
