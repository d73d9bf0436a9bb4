//! The list of plugins as a page of documentation: `docs/plugins.md` is its output.

use picker_core::plugin::{Registration, Role};
use serde_json::Value;

use super::schema::{fields, kind, resolve};

/// The text above the plugins.
const HEAD: &str = "\
# Plugins

<!-- Written by `picker plugins -o markdown`; a test compares. -->

A request is decided in this order: *producers* find out what scorers want to know, *filters* take endpoints out,
*scorers* give each endpoint that is left a score from 0 (worst) to 1 (best), and a *picker* chooses by the total,
which is the sum of weight × score. How to put them together: [Write a strategy](write-a-strategy.md).

A figure that is not known, because a server doesn't report it or was not heard of for too long, counts neither for
nor against a server: it gets the mean score of the others.

`picker plugins [TYPE…]` shows the same in a terminal, `picker plugins -o json` as JSON schemas.
";

/// The sections, those that strategies name most often first.
const SECTIONS: [(&str, Role); 15] = [
    ("Filters", Role::Filter),
    ("Scorers", Role::Scorer),
    ("Pickers", Role::Picker),
    ("Profile handlers", Role::ProfileHandler),
    ("Deciders", Role::Decider),
    ("Screeners", Role::Screener),
    ("Preparers", Role::Preparer),
    ("Producers", Role::Producer),
    ("Admitters", Role::Admitter),
    ("Plugins that act before the request is sent", Role::PreRequest),
    ("Observers of responses", Role::Observer),
    ("Upkeep", Role::Upkeep),
    ("Sources of metrics", Role::DataSource),
    ("Extractors of metrics", Role::Extractor),
    ("Discovery", Role::Discovery),
];

/// The page about `plugins`; a plugin of several roles stands under its first one.
pub(super) fn page(plugins: &[&Registration]) -> String {
    let mut page = HEAD.to_owned();
    for (title, role) in SECTIONS {
        let mut title = Some(title);
        for plugin in plugins.iter().filter(|plugin| plugin.roles.first() == Some(&role)) {
            if let Some(title) = title.take() {
                page.push_str(&format!("\n## {title}\n"));
            }
            page.push_str(&section(plugin));
        }
    }
    page
}

fn section(plugin: &Registration) -> String {
    let mut text = format!("\n### `{}`\n\n{}\n", plugin.kind, plugin.summary);
    if !plugin.formula.is_empty() {
        text.push_str(&format!("\nScore: {}\n", plugin.formula));
    }
    let schema = plugin.schema();
    let mut rows = Vec::new();
    collect("", schema.as_value(), schema.as_value(), &mut rows);
    if rows.is_empty() {
        text.push_str("\nNo parameters.\n");
        return text;
    }
    text.push_str("\n| parameter | type | default | |\n|---|---|---|---|\n");
    rows.iter().for_each(|row| text.push_str(row));
    text
}

/// One row for each field of `object`, and for each field of the objects in a list.
fn collect(prefix: &str, object: &Value, schema: &Value, rows: &mut Vec<String>) {
    for (name, property, required) in fields(object) {
        let described = resolve(property, schema);
        let default = match described.get("default") {
            Some(default) if !default.is_null() => format!("`{default}`"),
            _ if required => "required".to_owned(),
            _ => String::new(),
        };
        let deprecated = if property["deprecated"] == true { "Deprecated. " } else { "" };
        let description: Vec<_> =
            described["description"].as_str().unwrap_or_default().split_whitespace().collect();
        let cells = [
            format!("`{prefix}{name}`"),
            format!("{}{}", kind(property, schema), range(property)),
            default,
            format!("{deprecated}{}", description.join(" ")),
        ];
        rows.push(format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
        let items = &property["items"];
        if !items.is_null() {
            collect(&format!("{prefix}{name}[]."), target(items, schema), schema, rows);
        }
    }
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
