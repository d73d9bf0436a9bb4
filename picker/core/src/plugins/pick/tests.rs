use std::time::Instant;

use rstest::rstest;
use serde_json::json;

use crate::ask::{Ask, Scored};
use crate::cx::Cx;
use crate::endpoint::Load;
use crate::fact::Facts;
use crate::request::Request;
use crate::testing::{build, unknown};
use crate::view::Candidates;

const DRAWS: u32 = 8000;

/// The first `count` picks among candidates 1 and up, which have `totals`.
fn picks(kind: &str, count: i64, totals: &[f32], seed: u64, draws: u32) -> Vec<Vec<u32>> {
    let view = unknown(totals.len() + 1);
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| i > 0);
    let picker = build(kind, json!({"maxNumOfEndpoints": count})).unwrap().picker.unwrap();
    let mut cx = Cx::new(Instant::now(), seed);
    let (request, facts) = (Request::default(), Facts::default());
    let ask = Ask { request: &request, view: &view, facts: &facts, done: &[], now: cx.now() };
    (0..draws)
        .map(|_| picker.pick(&ask, &mut cx, Scored { candidates: &candidates, totals }).to_vec())
        .collect()
}

/// How often each candidate came first, in percent.
pub(super) fn shares(kind: &str, count: i64, totals: &[f32]) -> Vec<f64> {
    let mut counts = vec![0_u32; totals.len()];
    for picked in picks(kind, count, totals, 1, DRAWS) {
        counts[picked[0] as usize - 1] += 1;
    }
    counts.iter().map(|&c| f64::from(c) * 100.0 / f64::from(DRAWS)).collect()
}

pub(super) fn assert_close(shares: &[f64], expected: &[f64]) {
    // Four standard deviations of a share of a half, in percent.
    let margin = 400.0 * (0.25 / f64::from(DRAWS)).sqrt();
    let close = |(a, b): (&f64, &f64)| if *b == 0.0 { *a == 0.0 } else { (a - b).abs() < margin };
    assert!(
        shares.len() == expected.len() && shares.iter().zip(expected).all(close),
        "{shares:?} {expected:?}"
    );
}

#[rstest]
#[case::best(&[0.5, 2.0, 1.0], &[0.0, 100.0, 0.0])]
#[case::equals_are_as_likely(&[2.0, 1.0, 2.0, 2.0, 2.0], &[25.0, 0.0, 25.0, 25.0, 25.0])]
#[case::all_zero(&[0.0, 0.0], &[50.0, 50.0])]
#[case::negative_weights(&[-1.0, -2.0], &[100.0, 0.0])]
fn max_score(#[case] totals: &[f32], #[case] expected: &[f64]) {
    assert_close(&shares("max-score-picker", 1, totals), expected);
    assert_close(&shares("max-score-picker", 2, totals), expected);
}

#[rstest]
#[case::whatever_the_score(&[0.0, 3.0, 1.0, -1.0], &[25.0, 25.0, 25.0, 25.0])]
fn random(#[case] totals: &[f32], #[case] expected: &[f64]) {
    assert_close(&shares("random-picker", 1, totals), expected);
    assert_close(&shares("random-picker", 3, totals), expected);
}

#[rstest]
#[case::proportional(&[1.0, 2.0, 5.0], &[12.5, 25.0, 62.5])]
#[case::nothing_for_zero(&[1.0, 0.0, 3.0, -1.0], &[25.0, 0.0, 75.0, 0.0])]
#[case::tiny_scores(&[1e-30, 3e-30], &[25.0, 75.0])]
#[case::all_zero(&[0.0, 0.0, -1.0, 0.0], &[25.0, 25.0, 25.0, 25.0])]
fn weighted_random(#[case] totals: &[f32], #[case] expected: &[f64]) {
    assert_close(&shares("weighted-random-picker", 1, totals), expected);
    assert_close(&shares("weighted-random-picker", 2, totals), expected);
}

#[test]
fn of_equals_the_one_with_the_fewest_requests_in_flight_is_picked() {
    let view = unknown(5);
    for (i, requests) in [(0, 2), (1, 1), (2, 1), (3, 2)] {
        view.endpoints[i].live().add(Load { requests, tokens: 0 });
    }
    let candidates = Candidates::of(&view.endpoints, None);
    let mut cx = Cx::new(Instant::now(), 1);
    let (request, facts) = (Request::default(), Facts::default());
    let ask = Ask { request: &request, view: &view, facts: &facts, done: &[], now: cx.now() };
    let totals = [1.0, 1.0, 1.0, 1.0, 0.5];
    let mut picked = |count: i64| {
        let picker = build("max-score-picker", json!({"maxNumOfEndpoints": count})).unwrap().picker.unwrap();
        let scored = || Scored { candidates: &candidates, totals: &totals };
        let mut all: Vec<_> =
            (0..50).map(|_| picker.pick(&ask, &mut cx, scored()).to_vec()).map(|picked| picked[0]).collect();
        all.sort_unstable();
        all.dedup();
        (all, picker.pick(&ask, &mut cx, scored())[count as usize - 1])
    };
    assert_eq!(picked(1).0, [1, 2]);
    assert_eq!(picked(5), (vec![1, 2], 4));
}

#[test]
fn several_are_named_best_first() {
    let totals = [1.0, 4.0, 2.0, 3.0];
    assert_eq!(picks("max-score-picker", 3, &totals, 1, 1), [[2, 4, 3]]);
    assert_eq!(picks("max-score-picker", 9, &totals, 1, 1), [[2, 4, 3, 1]]);
    // Those that score come before those that don't.
    for picked in picks("weighted-random-picker", 4, &[0.0, 1.0, 0.0, 2.0], 1, 100) {
        assert!(matches!(picked[..], [2 | 4, 2 | 4, 1 | 3, 1 | 3]), "{picked:?}");
    }
}

#[rstest]
#[case(-3)]
#[case(0)]
#[case(1)]
fn less_than_one_means_one(#[case] count: i64) {
    for kind in ["max-score-picker", "power-of-two-picker", "random-picker", "weighted-random-picker"] {
        assert_eq!(picks(kind, count, &[1.0, 2.0], 1, 1)[0].len(), 1, "{kind}");
    }
}

#[test]
fn equal_seeds_pick_equally() {
    for kind in ["max-score-picker", "power-of-two-picker", "random-picker", "weighted-random-picker"] {
        let totals = [1.0; 8];
        assert_eq!(picks(kind, 1, &totals, 3, 20), picks(kind, 1, &totals, 3, 20), "{kind}");
        assert_ne!(picks(kind, 1, &totals, 3, 20), picks(kind, 1, &totals, 4, 20), "{kind}");
    }
}
