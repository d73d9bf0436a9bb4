//! The list of plugins as a page of documentation: `docs/plugins.md` is its output.

use picker_core::plugin::{Registration, Role, Stability};

use super::schema::{Parameter, formula_title, parameters};

/// The text above the plugins.
const HEAD: &str = "\
# Plugins

<!-- Written by `picker plugins -o markdown`; a test compares. -->

A request is decided in this order: *producers* find out what scorers want to know, *admitters* may refuse the request,
and the *profile handler* chooses which profiles to run. In each profile *filters* take endpoints out, *scorers* give each
endpoint that is left a score from 0 (worst) to 1 (best), and a *picker* chooses by the total, which is the sum of
weight × score. *Observers* watch the response. How to put them together: [Write a strategy](write-a-strategy.md).

A figure that is not known, because a server doesn't report it or was not heard of for too long, counts neither for
nor against a server, unless the plugin says otherwise: it gets the mean score of the others.

*Alpha* plugins may change their rule and their parameters, or go. Configurations of llm-d Router 0.10 and of the Gateway
API Inference Extension are taken as they are. Types of theirs that this release does not have are known by name: where
requests go to the same servers without them they are taken with a warning, else refused with what to write instead.

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
    let mut text = format!("\n### `{}`\n\n{}{}\n", plugin.kind, standing(plugin), plugin.summary);
    if !plugin.formula.is_empty() {
        text.push_str(&format!("\n{}: {}\n", formula_title(plugin), plugin.formula));
    }
    let rows = parameters(plugin.schema().as_value());
    if rows.is_empty() {
        text.push_str("\nNo parameters.\n");
        return text;
    }
    text.push_str("\n| parameter | type | default | |\n|---|---|---|---|\n");
    rows.iter().for_each(|parameter| text.push_str(&row(parameter)));
    text
}

/// How settled `plugin` is, and its former names; nothing of one that is settled and was always called so.
fn standing(plugin: &Registration) -> String {
    let mut text = match (plugin.deprecated, plugin.stability) {
        (Some(instead), _) => format!("Deprecated; write {instead}. "),
        (None, Stability::Alpha) => "Alpha. ".to_owned(),
        (None, Stability::Beta) => String::new(),
    };
    if !plugin.aliases.is_empty() {
        let names: Vec<_> = plugin.aliases.iter().map(|name| format!("`{name}`")).collect();
        text.push_str(&format!("Formerly {}. ", names.join(", ")));
    }
    text
}

fn row(parameter: &Parameter) -> String {
    let default = match parameter.default.as_str() {
        default @ ("" | "required") => default.to_owned(),
        default => format!("`{default}`"),
    };
    let deprecated = if parameter.deprecated { "Deprecated. " } else { "" };
    let description: Vec<_> = parameter.description.split_whitespace().collect();
    let cells = [
        format!("`{}`", parameter.path),
        parameter.kind.clone(),
        default,
        format!("{deprecated}{}", description.join(" ")),
    ];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}
