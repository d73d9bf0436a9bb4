use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::endpoint::Load;
use crate::request::Request;
use crate::testing::{Instance, build, unknown};

const KIND: &str = "concurrency-detector";

fn kept(parameters: Value, loads: &[(u32, u64)]) -> Vec<usize> {
    let view = unknown(loads.len());
    for (endpoint, &(requests, tokens)) in view.endpoints.iter().zip(loads) {
        endpoint.live().add(Load { requests, tokens });
    }
    Instance::new(KIND, parameters).unwrap().kept(&Request::default(), &view)
}

const LOADS: [(u32, u64); 4] = [(0, 0), (2, 90), (3, 10), (1, 100)];

#[rstest]
#[case::requests(json!({"maxConcurrency": 3}), &[0, 1, 3])]
#[case::tokens(json!({"concurrencyMode": "tokens", "maxTokenConcurrency": 100}), &[0, 1, 2])]
#[case::both(json!({"concurrencyMode": "hybrid", "maxConcurrency": 3, "maxTokenConcurrency": 100}), &[0, 1])]
#[case::room_above(json!({"maxConcurrency": 2, "headroom": 0.5}), &[0, 1, 3])]
#[case::none_is_left(json!({"concurrencyMode": "hybrid", "maxConcurrency": 1, "maxTokenConcurrency": 100}), &[0])]
#[case::defaults(json!({"maxConcurrency": 0, "maxTokenConcurrency": 0}), &[0, 1, 2, 3])]
fn those_at_a_limit_go(#[case] parameters: Value, #[case] expected: &[usize]) {
    assert_eq!(kept(parameters, &LOADS), expected);
}

#[test]
fn where_all_are_full_none_is_left() {
    assert_eq!(kept(json!({"maxConcurrency": 1}), &LOADS[1..]), Vec::<usize>::new());
}

#[test]
fn wrong_parameters_are_named() {
    let error = build(KIND, json!({"headroom": -1})).err().unwrap().to_string();
    let message = "must lie between 0 and 1e6: it is a part of the threshold, 0.2 for a fifth more";
    assert_eq!(error, format!("plugins[0].parameters.headroom: {message}"));
    let error = build(KIND, json!({"concurrencyMode": "bytes"})).err().unwrap().to_string();
    assert!(error.starts_with("plugins[0].parameters.concurrencyMode: unknown variant `bytes`"), "{error}");
}

proptest! {
    #[test]
    fn the_published_rule_holds(
        loads in prop::collection::vec((0..9_u32, 0..900_u64), 1..10),
        most in 1..9_u32,
        tokens in 1..900_u64,
        quarters in 0..5_u8,
        mode in 0..3_usize,
    ) {
        let headroom = f64::from(quarters) / 4.0;
        let parameters = json!({
            "maxConcurrency": most,
            "maxTokenConcurrency": tokens,
            "headroom": headroom,
            "concurrencyMode": (["requests", "tokens", "hybrid"][mode]),
        });
        let full = |&(requests, used): &(u32, u64)| {
            let by_requests = f64::from(requests) >= f64::from(most) * (1.0 + headroom);
            let by_tokens = used as f64 >= tokens as f64 * (1.0 + headroom);
            match mode { 0 => by_requests, 1 => by_tokens, _ => by_requests || by_tokens }
        };
        let expected: Vec<usize> = (0..loads.len()).filter(|&i| !full(&loads[i])).collect();
        prop_assert_eq!(kept(parameters, &loads), expected);
    }
}
