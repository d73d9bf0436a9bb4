//! The list of plugins as a page of documentation: `docs/plugins.md` is its output.

use picker_core::plugin::{Registration, Stability, Task};

use super::schema::{Parameter, formula_title, parameters, roles};

/// The text above the plugins.
const HEAD: &str = "\
# Plugins

<!-- Written by `picker plugins -o markdown`; a test compares. -->

A request is decided in this order: *preparers* find out what takes waiting, *screeners* take endpoints out for all profiles,
*producers* find out what scorers want to know, *admitters* may refuse the request, and the *profile handler* chooses which
profiles to run. In each profile *filters* take endpoints out, *scorers* give each endpoint that is left a score from 0
(worst) to 1 (best), and a *picker* chooses by the total, which is the sum of weight × score. *Observers* watch the
response. Before all that, *parsers* say [which requests are read](formats.md). How to put them together: [Write a strategy](write-a-strategy.md).

A figure that is not known, because a server doesn't report it or was not heard of for too long, counts neither for
nor against a server, unless the plugin says otherwise: it gets the mean score of the others.

*Alpha* plugins may change their rule and their parameters, or go. Configurations of llm-d Router 0.10 and of the Gateway
API Inference Extension are taken as they are. Types of theirs that this release does not have are known by name: where
requests go to the same servers without them they are taken with a warning, else refused with what to write instead.

The sections are what plugins are for, and *from* says whose configurations name a type.
`picker plugins [TYPE…]` shows the same in a terminal, `picker plugins -o json` as JSON schemas.
";

/// The page about `plugins`, by what they are for, and of one task by the order of their roles.
pub(super) fn page(plugins: &[&Registration]) -> String {
    let mut page = HEAD.to_owned();
    for task in Task::ALL {
        let mut of_task: Vec<_> = plugins.iter().filter(|plugin| plugin.task == task).collect();
        of_task.sort_by_key(|plugin| plugin.roles.first());
        page.push_str(&format!(
            "\n## {}\n\n| type | role | stability | from |\n|---|---|---|---|\n",
            task.name()
        ));
        of_task.iter().for_each(|plugin| page.push_str(&summary(plugin)));
        of_task.iter().for_each(|plugin| page.push_str(&section(plugin)));
    }
    page
}

/// The row of `plugin` in the table of its task.
fn summary(plugin: &Registration) -> String {
    let stability = if plugin.deprecated.is_some() { "deprecated" } else { plugin.stability.name() };
    let (kind, roles, origin) = (plugin.kind, roles(plugin).join(", "), plugin.origin.name());
    format!("| [`{kind}`](#{kind}) | {roles} | {stability} | {origin} |\n")
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
