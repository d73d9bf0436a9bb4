//! The subcommand `picker plugins`, which lists the plugins with their parameters.

use std::io::Write;

use picker_core::plugin::Registration;
use picker_core::plugins::builtin;
use serde_json::{Value, json};

use crate::args::Output;

mod markdown;
mod schema;
#[cfg(test)]
mod tests;

use schema::{formula_title, parameters, roles};

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

fn value(plugin: &Registration) -> Value {
    json!({
        "type": plugin.kind,
        "task": plugin.task.name(),
        "origin": plugin.origin.name(),
        "stability": plugin.stability.name(),
        "deprecated": plugin.deprecated,
        "formerly": plugin.aliases,
        "roles": roles(plugin),
        "summary": plugin.summary,
        "formula": plugin.formula,
        "writes": plugin.writes,
        "sample": plugin.sample,
        "parameters": plugin.schema(),
    })
}

fn text(plugin: &Registration) -> String {
    let (roles, stability, origin) =
        (roles(plugin).join(", "), plugin.stability.name(), plugin.origin.name());
    let mut text = format!("{} ({roles}; {stability}; {origin})\n    {}\n", plugin.kind, plugin.summary);
    if !plugin.formula.is_empty() {
        text.push_str(&format!("    {}: {}\n", formula_title(plugin), plugin.formula));
    }
    for parameter in parameters(plugin.schema().as_value()) {
        let default = match parameter.default.as_str() {
            "" => String::new(),
            "required" => ", required".to_owned(),
            default => format!(", default {default}"),
        };
        text.push_str(&format!("    - {}: {}{default}\n", parameter.path, parameter.kind));
        for line in parameter.description.lines().filter(|line| !line.trim().is_empty()) {
            text.push_str(&format!("        {}\n", line.trim()));
        }
    }
    text
}
