//! The documentation: each block of commands is run by a story, or says why not.

use std::fs;

use e2e::docs::{How, documentation};

use crate::sources::root;

#[test]
fn every_block_of_commands_is_run_or_says_why_not() {
    let pages = documentation(&root()).unwrap();
    let faults: Vec<_> = pages.iter().flat_map(|page| &page.faults).collect();
    assert_eq!(faults, Vec::<&String>::new(), "e2e/src/docs.rs has the comments that a block may have");
    let blocks: Vec<_> = pages.iter().flat_map(|page| &page.blocks).collect();
    let run = blocks.iter().filter(|block| block.is_run()).count();
    assert!(run * 2 > blocks.len(), "most blocks are run, not {run} of {}", blocks.len());
    let reasons = blocks.iter().filter_map(|block| match &block.how {
        How::Help(reason) | How::Not(reason) => Some(reason),
        How::ToItsEnd | How::On(_) | How::For(_) => None,
    });
    let short: Vec<_> = reasons.filter(|reason| reason.split_whitespace().count() < 2).collect();
    assert_eq!(short, Vec::<&String>::new(), "a reason says what a block needs");
}

/// A panel about a metric that there is not shows nothing, and nobody notices.
#[test]
fn every_metric_of_the_dashboard_is_documented() {
    let dashboard = fs::read_to_string(root().join("charts/waypost/dashboards/pickers.json")).unwrap();
    let documented = fs::read_to_string(root().join("docs/observe.md")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let names = expressions.iter().flat_map(|expression| {
        expression
            .split(|c: char| c != '_' && !c.is_ascii_alphanumeric())
            .filter(|word| word.starts_with("waypost_"))
    });
    let known = |name: &str| {
        let bare =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        documented.contains(&format!("`{bare}`"))
    };
    let unknown: Vec<_> = names.filter(|name| !known(name)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
    assert!(expressions.len() > 15, "{expressions:?}");
}
