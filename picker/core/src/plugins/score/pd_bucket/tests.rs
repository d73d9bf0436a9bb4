use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::ask::ProfileResult;
use crate::config::Scope;
use crate::endpoint::Load;
use crate::hot::{Hot, Outcome};
use crate::plugins::pd_groups::tests::{POOL, fact, pods};
use crate::request::Request;
use crate::testing::{Instance, build, request};
use crate::view::View;

const KIND: &str = "scorer-pd-bucket";

fn scorer(parameters: Value) -> Instance {
    Instance::new(KIND, parameters).unwrap()
}

/// A prompt of so many tokens.
fn prompt(tokens: usize) -> Request {
    request("m", &"x".repeat(tokens * 4))
}

/// Scores of `destinations` of the pool for a request at `ms` after the scorer was made.
fn scores(scorer: &mut Instance, view: &View, destinations: &[usize], ms: u64) -> Vec<f32> {
    scorer.forget();
    scorer.learn(fact(view));
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| destinations.contains(&i));
    let (mut out, request) = (vec![0.0; candidates.len()], Request::default());
    let ask = scorer.ask(&request, view, &[]);
    let ask = Ask { now: ask.now + Duration::from_millis(ms), ..ask };
    scorer.roles.scorer.as_ref().unwrap().score(&ask, &candidates, &mut out);
    out
}

/// Sends `request` to `destination` after it was scored, and tells the pair that does it.
fn send(scorer: &mut Instance, view: &View, destination: usize, request: &Request, ms: u64) -> Option<Pair> {
    scores(scorer, view, &[destination], ms);
    let result = ProfileResult { profile: 0, picked: Some(smallvec::smallvec![destination as u32]) };
    let decision = Decision { results: smallvec::smallvec![result], primary: 0 };
    let ask = scorer.ask(request, view, &decision.results);
    let ask = Ask { now: ask.now + Duration::from_millis(ms), ..ask };
    let plugin = scorer.roles.pre_request.as_ref().unwrap();
    plugin.pre_request(&ask, &decision, &mut Launch::of(&decision, view));
    scorer.fact::<PdGroups>().noted(destination)
}

#[test]
fn the_group_with_the_least_busy_prefill_pod_scores_best() {
    let (mut scorer, view) = (scorer(json!({"decayFactor": 1.0})), pods(&POOL));
    assert_eq!(scores(&mut scorer, &view, &[0, 4, 8], 0), [1.0; 3]);
    // One prefill pod of a group without load is enough.
    let pair = |prefill, decode| Some(Pair { prefill, decode });
    assert_eq!(send(&mut scorer, &view, 0, &prompt(100), 0), pair(1, 3));
    assert_eq!(send(&mut scorer, &view, 8, &prompt(100), 0), pair(8, 8));
    assert_eq!(scores(&mut scorer, &view, &[0, 4, 8], 0), [1.0, 1.0, 0.0]);
    // Long prompts count twice: 2, then 1, then 2 has more.
    assert_eq!(send(&mut scorer, &view, 0, &prompt(200), 0), pair(2, 3));
    assert_eq!(send(&mut scorer, &view, 0, &prompt(199), 0), pair(1, 3));
    assert_eq!(send(&mut scorer, &view, 0, &prompt(200), 0), pair(1, 3));
    // Loads of 400 and 699, of none, and of 100.
    assert_eq!(scores(&mut scorer, &view, &[0, 4, 8], 0), [0.0, 1.0, 0.75]);
    assert_eq!(scores(&mut scorer, &view, &[0, 8], 0), [0.0, 1.0]);
}

#[test]
fn tokens_are_forgotten_by_and_by() {
    let (mut scorer, view) = (scorer(json!({"decayFactor": 0.5})), pods(&POOL));
    send(&mut scorer, &view, 8, &prompt(100), 0);
    for _ in 0..2 {
        send(&mut scorer, &view, 0, &prompt(100), 350);
    }
    assert_eq!(scores(&mut scorer, &view, &[0, 4, 8], 350), [0.0, 1.0, 1.0 - 0.125]);
    assert_eq!(scores(&mut scorer, &view, &[0, 4, 8], 1 << 40), [1.0; 3]);
}

#[test]
fn decode_pods_take_turns_by_their_requests_in_flight() {
    let view = pods(&[("leader", "a"), ("prefill", "a"), ("decode", "a"), ("decode", "a")]);
    view.endpoints[2].live().add(Load { requests: 1, tokens: 0 });
    let pair = send(&mut scorer(json!({})), &view, 0, &prompt(1), 0);
    assert_eq!(pair, Some(Pair { prefill: 1, decode: 3 }));
}

#[test]
fn pods_that_take_no_requests_score_nothing_and_requests_without_a_prompt_count() {
    let (mut scorer, view) = (scorer(json!({})), pods(&POOL));
    assert_eq!(scores(&mut scorer, &view, &[0, 1, 3, 8], 0), [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(send(&mut scorer, &view, 1, &prompt(1), 0), None);
    send(&mut scorer, &view, 8, &Request::default(), 0);
    assert_eq!(scores(&mut scorer, &view, &[0, 1, 3, 8], 0), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn loads_outlive_an_edit_of_their_weights_and_no_other_one() {
    let hot = Hot::default();
    let resets = |parameters: Value| {
        let routing = json!({"plugins": [{"type": KIND, "parameters": parameters}]});
        match hot.offer(&routing, Scope::Resource) {
            Outcome::Swapped { resets, .. } => resets,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(resets(json!({})), [""; 0]);
    assert_eq!(resets(json!({"alpha": 3.0, "beta": 0.5})), [""; 0]);
    assert_eq!(resets(json!({"decayFactor": 0.5})), [KIND]);
    assert_eq!(resets(json!({"decayFactor": 0.5, "bucketSeperateLength": 100})), [KIND]);
}

#[rstest]
#[case(json!({"alpha": -1}), "alpha: must be at least 0")]
#[case(json!({"beta": -0.5}), "beta: must be at least 0")]
#[case(json!({"decayFactor": 1.5}), "decayFactor: must lie between 0 and 1")]
#[case(json!({"decayFactor": -0.1}), "decayFactor: must lie between 0 and 1")]
#[case(json!({"bucketSeparateLength": 100}), "bucketSeparateLength: unknown field `bucketSeparateLength`; the nearest is \"bucketSeperateLength\"; known here: alpha, beta, decayFactor, bucketSeperateLength, pdGroupProducerName")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] says: &str) {
    let error = build(KIND, parameters).err().unwrap().to_string();
    assert_eq!(error, format!("plugins[0].parameters.{says}"));
}

proptest! {
    /// The sums are kept as they are written down, a step at each 100 ms, in f64.
    #[test]
    fn agrees_with_the_rule(
        sent in prop::collection::vec((0..3_usize, 1..1000_usize, 0..4_u64), 0..30),
        (alpha, beta, decay) in (0.0_f64..3.0, 0.0_f64..3.0, 0.0_f64..1.0),
    ) {
        // Each destination has one prefill pod.
        let roles =
            [("leader", "a"), ("prefill", "a"), ("decode", "a"), ("leader", "b"), ("prefill", "b"), ("decode", "b"), ("aggregate", "")];
        let (view, destinations) = (pods(&roles), [0, 3, 6]);
        let mut scorer = scorer(json!({"alpha": alpha, "beta": beta, "decayFactor": decay}));
        scores(&mut scorer, &view, &destinations, 0);
        let (mut sums, mut tick) = ([[0.0_f64; 2]; 3], 0);
        for (to, tokens, ticks) in sent {
            tick += ticks;
            for sum in sums.iter_mut().flatten() {
                (0..ticks).for_each(|_| *sum *= decay);
            }
            send(&mut scorer, &view, destinations[to], &prompt(tokens), tick * 100);
            sums[to][usize::from(tokens >= 200)] += tokens as f64;
        }
        // Weights are read as f32.
        let loads = sums.map(|[short, long]| f64::from(alpha as f32) * short + f64::from(beta as f32) * long);
        let [least, most] = [f64::min, f64::max].map(|of| loads.into_iter().reduce(of).unwrap());
        let scored = scores(&mut scorer, &view, &destinations, tick * 100);
        for (score, load) in scored.iter().zip(loads) {
            let expected = if most > least { (most - load) / (most - least) } else { 1.0 };
            // Where all are nearly equal, the rounding of the sums is what is left to compare.
            let rounding = most * 1e-6 / (most - least).max(f64::MIN_POSITIVE);
            prop_assert!((f64::from(*score) - expected).abs() < 1e-5 + rounding, "{scored:?} {loads:?}");
        }
    }
}
