//! Published rules of filters, scorers and pickers, restated plainly: ours have to agree with them on random pools.
//!
//! The restatements are written from what is published of a rule, and not from its code. Where ours is another one on
//! purpose, the restatement is ours, and says so. Plugins of whose rule more is to be said have such a test beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::playing;
use crate::plugin::Role;

mod filters;
mod histories;
mod picks;
mod scene;
mod scores;

/// How far a score may be from the restated one.
const NEAR: f64 = 1e-5;

/// Whether `test` holds for random values of `values`, the same ones at every run; else why not, and for which type.
fn check<S: Strategy>(
    kind: &str,
    cases: u32,
    values: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Option<String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    match TestRunner::new_with_rng(config, rng).run(values, test) {
        Ok(()) => None,
        Err(TestError::Fail(reason, value)) => Some(format!("{kind}: {reason}\n{value:#?}")),
        Err(error) => Some(format!("{kind}: {error}")),
    }
}

/// Fails with all that is wrong.
fn assert_none(wrong: impl Iterator<Item = Option<String>>) {
    let wrong: Vec<_> = wrong.flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The types whose rules are restated here.
fn restated() -> impl Iterator<Item = &'static str> {
    let histories = histories::RULES.iter().map(|(kind, _)| *kind);
    let scores = scores::RULES.iter().map(|rule| rule.kind);
    let filters = filters::RULES.iter().map(|rule| rule.kind);
    histories.chain(scores).chain(filters).chain(picks::RULES.iter().map(|rule| rule.kind))
}

/// The Rust files below `folder`, with their texts.
fn sources(folder: &Path, found: &mut Vec<(std::path::PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

#[test]
fn every_filter_scorer_and_picker_has_its_rule_restated() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plugins"), &mut files);
    let text = |path: &Path| files.iter().find(|(other, _)| other == path).map_or("", |(_, text)| text);
    let beside = |kind: &str| {
        let line = format!("const TYPE: &'static str = \"{kind}\";");
        let (path, own) = files.iter().find(|(_, text)| text.contains(&line)).unwrap();
        let tests = text(&path.with_extension("").join("tests.rs"));
        [own.as_str(), tests].iter().any(|text| text.contains("proptest! {"))
    };
    let here: BTreeSet<_> = restated().collect();
    let roles = [Role::Filter, Role::Screener, Role::Scorer, Role::Picker];
    let all = roles.into_iter().flat_map(playing);
    let without: BTreeSet<_> = all.filter(|kind| !here.contains(kind) && !beside(kind)).collect();
    assert_eq!(without, BTreeSet::new(), "restate their rules, here or in a property test beside them");
}
