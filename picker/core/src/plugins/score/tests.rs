//! The scorers of one scraped signal.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;

use crate::column::Column;
use crate::needs::Needs;
use crate::request::Request;
use crate::testing::{scores, strategy, view};
use crate::view::{Candidates, Reading, Signals, View};

const NAN: f32 = f32::NAN;

fn scored(kind: &str, values: &[f32]) -> Vec<f32> {
    let view = view(values.iter().map(|&v| match kind {
        "queue-scorer" => Signals { waiting: Some(v), ..Signals::default() },
        "running-requests-size-scorer" => Signals { running: Some(v), ..Signals::default() },
        _ => Signals { kv_usage: Some(v), ..Signals::default() },
    }));
    scores(kind, json!({}), &Request::default(), &view)
}

#[rstest]
#[case(&[0.0, 2.0, 4.0, 8.0], &[1.0, 0.75, 0.5, 0.0])]
#[case(&[7.0, 3.0], &[0.0, 1.0])]
#[case(&[5.0, 5.0, 5.0], &[1.0, 1.0, 1.0])]
#[case(&[9.0], &[1.0])]
#[case::an_unknown_one_gets_the_mean(&[0.0, NAN, 2.0, 8.0], &[1.0, 1.75 / 3.0, 0.75, 0.0])]
#[case::infinity_is_unknown(&[f32::INFINITY, 1.0, 3.0], &[0.5, 1.0, 0.0])]
#[case::equal_and_unknown(&[4.0, NAN, 4.0], &[1.0, 1.0, 1.0])]
#[case::all_unknown(&[NAN, NAN], &[1.0, 1.0])]
fn numbers_of_requests_are_scored_relative_to_the_candidates(
    #[case] values: &[f32],
    #[case] expected: &[f32],
) {
    assert_eq!(scored("queue-scorer", values), expected);
    assert_eq!(scored("running-requests-size-scorer", values), expected);
}

#[rstest]
#[case(&[0.0, 0.25, 1.0], &[1.0, 0.75, 0.0])]
#[case::equal_ones_are_not_all_best(&[0.5, 0.5], &[0.5, 0.5])]
#[case::an_unknown_one_gets_the_mean(&[0.25, NAN, 0.75], &[0.75, 0.5, 0.25])]
#[case::out_of_range(&[1.5, -0.5], &[0.0, 1.0])]
#[case::all_unknown(&[NAN, NAN], &[1.0, 1.0])]
fn the_kv_cache_is_scored_by_what_is_free(#[case] values: &[f32], #[case] expected: &[f32]) {
    assert_eq!(scored("kv-cache-utilization-scorer", values), expected);
}

#[test]
fn only_candidates_count() {
    let view = view([0.0, 4.0, 6.0, 8.0].map(|v| Signals { waiting: Some(v), ..Signals::default() }));
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| i > 0);
    let mut out = [0.0; 3];
    super::signal::relative(view.column(Column::WAITING), &candidates, &mut out);
    assert_eq!(out, [1.0, 0.5, 0.0]);
}

#[test]
fn a_stale_value_is_neither_empty_nor_full() {
    let now = Instant::now();
    let fresh = view([1.0, 3.0, 0.0].map(|v| Signals { waiting: Some(v), ..Signals::default() }));
    let ages = [0, 0, 1001];
    let rows = fresh.endpoints.iter().zip(ages).zip([1.0, 3.0, 0.0]).map(|((endpoint, age), waiting)| {
        let signals = Signals { waiting: Some(waiting), ..Signals::default() };
        (endpoint.clone(), Reading { signals, at: now.checked_sub(Duration::from_millis(age)) })
    });
    let view = View::build(rows.collect(), now, Duration::from_secs(1));
    let scores = scores("queue-scorer", json!({}), &Request::default(), &view);
    assert_eq!(scores, [1.0, 0.0, 0.5]);
}

#[test]
fn what_is_scraped_is_what_the_plugins_read() {
    let reads = |kind: &str| {
        let strategy = strategy(&format!("plugins: [{{type: {kind}}}]"));
        assert_eq!(strategy.scrape.is_some(), !strategy.columns.is_empty());
        (strategy.needs, strategy.columns.to_vec())
    };
    let (none, body) = (Needs::NOTHING, Needs::BODY);
    assert_eq!(reads("queue-scorer"), (none, vec![Column::WAITING]));
    assert_eq!(reads("running-requests-size-scorer"), (none, vec![Column::RUNNING]));
    assert_eq!(reads("kv-cache-utilization-scorer"), (none, vec![Column::KV_USAGE]));
    assert_eq!(reads("lora-affinity-scorer"), (body, vec![Column::LORA]));
    assert_eq!(reads("prefix-cache-scorer"), (body, vec![Column::CACHE_CONFIG]));
    assert_eq!(reads("active-request-scorer"), (none, vec![]));
}
