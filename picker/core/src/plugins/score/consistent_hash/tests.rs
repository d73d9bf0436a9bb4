use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::endpoint::{Load, Slots};
use crate::request::Request;
use crate::testing::{Instance, spec, unknown, view_of, with_headers};
use crate::view::View;

const KIND: &str = "consistent-hash-scorer";

fn scorer(load_factor: f64) -> Instance {
    Instance::new(KIND, json!({"headerName": "X-Tenant", "loadFactor": load_factor})).unwrap()
}

fn keyed(key: &str) -> Request {
    with_headers([("x-tenant", key)])
}

fn loaded(loads: &[u32]) -> View {
    let view = unknown(loads.len());
    for (endpoint, &requests) in view.endpoints.iter().zip(loads) {
        endpoint.live().add(Load { requests, tokens: 0 });
    }
    view
}

/// The endpoints in the order of their scores, best first.
fn order(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<_> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

#[test]
fn without_a_key_there_is_no_preference() {
    let view = loaded(&[0, 90, 0]);
    for request in [Request::default(), keyed(""), keyed("  "), with_headers([("x-other", "a")])] {
        assert_eq!(scorer(1.0).scores(&request, &view), [1.0; 3]);
    }
}

/// Fixed, so that replicas of different releases agree.
#[test]
fn the_order_of_a_key_is_by_the_hash_of_key_and_name() {
    let view = unknown(4);
    let of = |key: &str| scorer(1.25).scores(&keyed(key), &view);
    let scores: Vec<_> = ["alice", "bob", "carol"].into_iter().map(of).collect();
    let third = 1.0_f32 / 3.0;
    let ranked = |ranks: [u8; 4]| ranks.map(|rank| 1.0 - f32::from(rank) * third);
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    let expected = [ranked(ALICE), ranked(BOB), ranked(CAROL)];
    assert!(scores.iter().zip(&expected).all(|(a, b)| close(a, b)), "{scores:?}");
    assert_eq!(of(" alice "), of("alice"));
    assert_eq!(scorer(1.25).scores(&keyed("alice"), &unknown(1)), [1.0]);
}

/// Ranks of the pods 0 to 3 for these keys.
const ALICE: [u8; 4] = [3, 0, 2, 1];
const BOB: [u8; 4] = [1, 0, 3, 2];
const CAROL: [u8; 4] = [1, 2, 3, 0];

#[test]
fn an_endpoint_with_too_much_is_passed_over_and_the_next_takes_its_place() {
    let free = order(&scorer(1.25).scores(&keyed("alice"), &unknown(4)));
    let at = |loads: [u32; 4]| {
        // Loads in the order of the key.
        let mut own = [0; 4];
        free.iter().zip(loads).for_each(|(i, load)| own[*i] = load);
        let scores = scorer(1.25).scores(&keyed("alice"), &loaded(&own));
        free.iter().map(|i| scores[*i]).collect::<Vec<_>>()
    };
    let step = |n: u8| 1.0 - f32::from(n) / 3.0;
    // The mean is 2, and up to 3.5 are allowed.
    assert_eq!(at([3, 2, 2, 1]), [step(0), step(1), step(2), step(3)]);
    assert_eq!(at([4, 2, 1, 1]), [0.0, step(0), step(1), step(2)]);
    assert_eq!(at([4, 4, 0, 0]), [0.0, 0.0, step(0), step(1)]);
    // The mean is 4, and exactly 6 are allowed.
    assert_eq!(at([6, 4, 3, 3]), [step(0), step(1), step(2), step(3)]);
    // One request alone is never too much: the mean is 0.25.
    assert_eq!(at([1, 0, 0, 0]), [step(0), step(1), step(2), step(3)]);
    assert_eq!(at([2, 0, 0, 0]), [0.0, step(0), step(1), step(2)]);
}

#[test]
fn keys_are_spread_evenly_and_move_only_from_an_endpoint_that_goes() {
    let mut slots = Slots::default();
    let all: Vec<_> = (0..8).map(|n| Arc::new(slots.admit(spec(n)))).collect();
    let (whole, less) = (view_of(all.iter().cloned()), view_of(all[1..].iter().cloned()));
    let scorer = scorer(1.25);
    let own = |view: &View, key: usize| {
        let scores = scorer.scores(&keyed(&format!("tenant-{key}")), view);
        view.endpoints[order(&scores)[0]].pod.clone()
    };
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for key in 0..4000 {
        let before = own(&whole, key);
        let after = own(&less, key);
        assert!(before == after || before == "pod-0", "{key}: {before} {after}");
        *counts.entry(before).or_default() += 1;
    }
    // 500 each; four standard deviations are 84.
    assert!(counts.len() == 8 && counts.values().all(|count| (416..584).contains(count)), "{counts:?}");
}

#[rstest]
#[case(json!({}), "headerName: is required")]
#[case(json!({"headerName": "x tenant"}), "headerName: \"x tenant\" is no name of a header")]
#[case(json!({"headerName": "x", "loadFactor": 0.9}), "loadFactor: must be at least 1")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    let error = Instance::new(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{message}")));
}

proptest! {
    #[test]
    fn the_published_rule(
        loads in prop::collection::vec(prop_oneof![0..4_u32, 0..1000_u32], 1..24),
        key in "[a-z0-9-]{1,12}",
        factor in 1.0..3.0_f64,
    ) {
        let view = loaded(&loads);
        let scores = scorer(factor).scores(&keyed(&key), &view);

        let n = loads.len();
        let mean = loads.iter().sum::<u32>() as f64 / n as f64;
        let weight = |i: usize| xxh3_64_with_seed(format!("pod-{i}-rank-0").as_bytes(), xxh3_64(key.as_bytes()));
        let mut ranked: Vec<usize> = (0..n).filter(|i| f64::from(loads[*i]) <= factor * mean + 1.0).collect();
        ranked.sort_by_key(|i| std::cmp::Reverse(weight(*i)));
        for i in 0..n {
            let expected = match ranked.iter().position(|other| *other == i) {
                Some(_) if n == 1 => 1.0,
                Some(rank) => 1.0 - rank as f64 / (n - 1) as f64,
                None => 0.0,
            };
            prop_assert!((f64::from(scores[i]) - expected).abs() < 1e-5, "{i}: {scores:?} {expected}");
        }
    }
}
