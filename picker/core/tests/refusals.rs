//! The documentation tells every refusal, with its status and its reason.
#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use picker_core::refusal::TABLE;

fn page(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(page).expect("the page")
}

/// The section of docs/gateways.md about status codes.
fn section() -> String {
    let page = page("gateways.md");
    let (_, rest) = page.split_once("\n## Status codes\n").expect("the section");
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

/// How often each pair of status and reason is there.
fn counted(pairs: impl Iterator<Item = (String, String)>) -> BTreeMap<(String, String), usize> {
    pairs.fold(BTreeMap::new(), |mut counted, pair| {
        *counted.entry(pair).or_default() += 1;
        counted
    })
}

#[test]
fn the_page_about_gateways_has_the_rows_of_the_table() {
    let section = section();
    let rows = section.lines().filter(|line| line.starts_with("| ")).filter_map(|line| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (status, reason) = (cells.next()?, cells.next()?);
        let reason = reason.strip_prefix('`')?.strip_suffix('`')?;
        Some((status.to_owned(), reason.to_owned()))
    });
    let wanted = TABLE.iter().map(|row| (row.status.to_string(), row.dropped.to_owned()));
    assert_eq!(counted(rows), counted(wanted));
}

#[test]
fn the_page_about_gateways_names_every_detail_of_access_logs() {
    let section = section();
    let mut told: Vec<_> = section.split('`').filter_map(|word| word.strip_prefix("waypost_")).collect();
    let mut wanted: Vec<_> = TABLE.iter().map(|row| row.name).collect();
    told.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(told, wanted);
}

#[test]
fn the_page_about_metrics_names_every_reason_of_requests_total() {
    let page = page("observe.md");
    let (_, rest) = page.split_once("\n`reason` of `requests_total` is ").expect("the paragraph");
    let paragraph = rest.split("\n\n").next().expect("its end");
    let mut told: Vec<_> = paragraph.split('`').skip(1).step_by(2).collect();
    let not_refused = ["routed", "nothing-to-route", "client-closed", "protocol-error"];
    let mut wanted: Vec<_> = TABLE.iter().map(|row| row.name).chain(not_refused).collect();
    told.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(told, wanted);
}
