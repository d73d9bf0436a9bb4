use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::cx::Cx;
use crate::endpoint::{Endpoint, Slots};
use crate::request::Request;
use crate::testing::{Instance, spec, unknown, view_of};
use crate::view::View;

const KIND: &str = "slow-start";

/// The scores at `seconds` after `start`.
fn at(scorer: &mut Instance, view: &View, start: Instant, seconds: f64) -> Vec<f32> {
    scorer.cx = Cx::new(start + Duration::from_secs_f64(seconds), 1);
    scorer.scores(&Request::default(), view)
}

fn tick(scorer: &Instance, view: &View, start: Instant, seconds: f64) {
    scorer.roles.upkeep.as_ref().unwrap().tick(start + Duration::from_secs_f64(seconds), view);
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

fn endpoints(count: u8) -> (Slots, Vec<Arc<Endpoint>>) {
    let mut slots = Slots::default();
    let all = (0..count).map(|n| Arc::new(slots.admit(spec(n)))).collect();
    (slots, all)
}

#[rstest]
#[case(json!({}), &[0.1, 0.25, 0.55, 0.985, 1.0, 1.0])]
#[case(json!({"minimum": 0}), &[0.0, 1.0 / 6.0, 0.5, 59.0 / 60.0, 1.0, 1.0])]
#[case(json!({"minimum": 1}), &[1.0; 6])]
#[case(json!({"windowSeconds": 20, "minimum": 0.5}), &[0.5, 0.75, 1.0, 1.0, 1.0, 1.0])]
fn the_score_of_a_new_endpoint_rises_over_the_window(#[case] parameters: Value, #[case] expected: &[f32]) {
    let (_, all) = endpoints(2);
    let (before, after) = (view_of(all[..1].iter().cloned()), view_of(all));
    let (mut scorer, start) = (Instance::new(KIND, parameters).unwrap(), Instant::now());
    assert_eq!(at(&mut scorer, &before, start, 0.0), [1.0], "those that are there first are old");
    let rising: Vec<_> =
        [100.0, 110.0, 130.0, 159.0, 160.0, 1e6].map(|s| at(&mut scorer, &after, start, s)).into();
    assert!(rising.iter().all(|scores| scores[0] == 1.0), "{rising:?}");
    let own: Vec<_> = rising.iter().map(|scores| scores[1]).collect();
    assert!(close(&own, expected), "{own:?}");
}

#[test]
fn an_endpoint_is_seen_without_a_request_and_forgotten_when_it_is_gone() {
    let (_, all) = endpoints(2);
    let (one, both) = (view_of(all[..1].iter().cloned()), view_of(all.iter().cloned()));
    let (mut scorer, start) =
        (Instance::new(KIND, json!({"minimum": 0, "windowSeconds": 100})).unwrap(), Instant::now());
    // An empty view is none to begin with: the picker knows of no endpoint yet.
    tick(&scorer, &View::empty(), start, 0.0);
    tick(&scorer, &unknown(0), start, 0.0);
    tick(&scorer, &one, start, 1.0);
    tick(&scorer, &both, start, 10.0);
    assert_eq!(at(&mut scorer, &both, start, 60.0), [1.0, 0.5]);
    // What is decided with a view that is behind changes nothing.
    assert_eq!(at(&mut scorer, &one, start, 60.0), [1.0]);
    assert_eq!(at(&mut scorer, &both, start, 60.0), [1.0, 0.5]);
    tick(&scorer, &view_of(all[..1].iter().cloned()), start, 70.0);
    assert_eq!(at(&mut scorer, &both, start, 80.0), [1.0, 0.0], "of a gone one nothing is known");
    assert_eq!(at(&mut scorer, &view_of(all), start, 90.0), [1.0, 0.0]);
}

#[test]
fn another_endpoint_in_the_same_slot_is_new() {
    let (mut slots, all) = endpoints(2);
    let (mut scorer, start) = (Instance::new(KIND, json!({"minimum": 0})).unwrap(), Instant::now());
    assert_eq!(at(&mut scorer, &view_of(all.iter().cloned()), start, 0.0), [1.0, 1.0]);
    slots.release(&all[1]);
    let next = Arc::new(slots.admit(spec(7)));
    assert_eq!(next.slot, all[1].slot);
    let view = view_of([all[0].clone(), next]);
    assert_eq!(at(&mut scorer, &view, start, 5.0), [1.0, 0.0]);
    assert_eq!(at(&mut scorer, &view, start, 35.0), [1.0, 0.5]);
}

#[rstest]
#[case(json!({"windowSeconds": 0}), "windowSeconds: must lie between 1 and 86400")]
#[case(json!({"windowSeconds": 86401}), "windowSeconds: must lie between 1 and 86400")]
#[case(json!({"minimum": 1.1}), "minimum: must lie between 0 and 1")]
#[case(json!({"minimum": -0.1}), "minimum: must lie between 0 and 1")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    let error = Instance::new(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{message}")));
}

proptest! {
    /// The published rule, with a map from each endpoint that is there to when it was first seen.
    #[test]
    fn the_published_rule(
        steps in prop::collection::vec((1..256_u32, 0.0..40.0_f64, any::<bool>()), 1..20),
        window in 1..100_u64,
        minimum in 0.0..1.0_f64,
    ) {
        let (_, all) = endpoints(8);
        let parameters = json!({"windowSeconds": window, "minimum": minimum});
        let (mut scorer, start) = (Instance::new(KIND, parameters).unwrap(), Instant::now());
        let mut first: Option<BTreeMap<u64, f64>> = None;
        let mut now = 0.0;
        for (there, pause, by_upkeep) in steps {
            now += pause;
            let view = view_of(all.iter().filter(|e| there >> e.slot & 1 == 1).cloned());
            let old = first.clone();
            let since = |key: u64| match &old {
                Some(old) => old.get(&key).copied().unwrap_or(now),
                None => f64::NEG_INFINITY,
            };
            let map: BTreeMap<u64, f64> = view.endpoints.iter().map(|e| (e.key, since(e.key))).collect();
            if by_upkeep {
                tick(&scorer, &view, start, now);
            } else if old.as_ref().is_some_and(|old| map.keys().all(|key| old.contains_key(key))) {
                // Requests alone don't notice that endpoints have gone.
                let scores = at(&mut scorer, &view, start, now);
                tick(&scorer, &view, start, now);
                prop_assert_eq!(&scores, &at(&mut scorer, &view, start, now));
            }
            let scores = at(&mut scorer, &view, start, now);
            for (endpoint, score) in view.endpoints.iter().zip(&scores) {
                let age = now - map[&endpoint.key];
                let rising = minimum + (1.0 - minimum) * age / window as f64;
                let expected = if age >= window as f64 { 1.0 } else { rising };
                prop_assert!((f64::from(*score) - expected).abs() < 1e-5, "{score} {expected}");
            }
            first = Some(map);
        }
    }
}
