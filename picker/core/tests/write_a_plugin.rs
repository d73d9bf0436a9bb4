//! The code that the page about writing plugins shows is code that is compiled and tested.
#![allow(clippy::expect_used)]

use std::path::Path;

/// Files whose code the page shows.
const SOURCES: [&str; 3] =
    ["examples/own_scorer.rs", "src/plugins/score/token_load/tests.rs", "src/plugins/score.rs"];

/// The lines of a text without their indentation, so that a snippet may stand further left than its source.
fn unindented(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim())).collect()
}

#[test]
fn every_snippet_of_the_page_is_in_a_source_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("a file of the repository");
    let sources = SOURCES.map(|path| unindented(&read(path)));
    let page = read("../../docs/write-a-plugin.md");
    let snippets: Vec<_> = page.split("```rust\n").skip(1).map(|rest| rest.split("```").next()).collect();
    assert_eq!(snippets.len(), 7);
    for snippet in snippets.into_iter().flatten() {
        let wanted = unindented(snippet);
        assert!(sources.iter().any(|source| source.contains(&wanted)), "nowhere:\n{snippet}");
    }
}
