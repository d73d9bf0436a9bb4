use bytes::Bytes;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use crate::endpoint::Load;
use crate::request::Request;
use crate::testing::{Instance, request, scores, view};
use crate::view::Signals;

fn signals(waiting: f32, running: f32, kv_usage: f32) -> Signals {
    Signals { waiting: Some(waiting), running: Some(running), kv_usage: Some(kv_usage), ..Signals::default() }
}

#[rstest]
#[case("1.0 - endpoint.kvUsage", [0.75, 0.5, 0.5])]
#[case("endpoint.waiting / 8.0 + endpoint.running / 16.0", [0.375, 1.0, 0.5])]
#[case("1.0 - endpoint.inFlight / 4.0", [1.0, 0.75, 0.5])]
#[case("has(endpoint.waiting) ? 0.25 : 1.0", [0.25, 0.25, 1.0])]
#[case("endpoint.name == 'pod-1-rank-0' ? 1.0 : 0.0", [0.0, 1.0, 0.0])]
#[case("request.headers['x-tier'] == 'gold' && request.model == 'm' ? 1.0 : 0.0", [1.0; 3])]
#[case("'x-none' in request.headers ? 1.0 : 0.0", [0.0; 3])]
#[case("request.headers['x-none'] == 'a' ? 1.0 : 0.0", [0.5; 3])]
#[case("request.headers['x-bytes'] == 'a' ? 1.0 : 0.0", [0.5; 3])]
#[case("double(request.headers['x-weight']) / 4.0", [0.75; 3])]
#[case("1", [1.0; 3])]
#[case("size(endpoint.name) == 12 ? 0u : 1u", [0.0; 3])]
#[case("-5.0", [0.0; 3])]
#[case("0.0 / 0.0", [0.5; 3])]
#[case("1.0 / 0.0", [1.0; 3])]
fn an_endpoint_has_the_score_that_the_expression_says(#[case] expression: &str, #[case] expected: [f32; 3]) {
    let view = view([signals(2.0, 2.0, 0.25), signals(6.0, 5.0, 0.5), Signals::default()]);
    view.endpoints[1].live().add(Load { requests: 1, tokens: 0 });
    view.endpoints[2].live().add(Load { requests: 2, tokens: 0 });
    let mut request = request("m", "prompt");
    for (name, value) in [("x-tier", &b"gold"[..]), ("x-weight", b"3"), ("x-bytes", b"\xff")] {
        request.headers.0.push((Bytes::from(name), Bytes::from(value)));
    }
    assert_eq!(scores("cel-scorer", json!({"expression": expression}), &request, &view), expected);
}

fn number() -> impl Strategy<Value = Option<f32>> {
    prop_oneof![
        6 => (0.0_f32..20.0).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::MIN)].prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn the_published_rule(
        rows in prop::collection::vec((number(), number(), 0..8_u32), 1..20),
        factor in -1.0..1.0_f64,
        slack in 0..100_u32,
    ) {
        let view = view(rows.iter().map(|row| Signals { waiting: row.0, kv_usage: row.1, ..Signals::default() }));
        for (endpoint, row) in view.endpoints.iter().zip(&rows) {
            endpoint.live().add(Load { requests: row.2, tokens: 0 });
        }
        let slack = f64::from(slack) / 100.0;
        let expression = format!(
            "endpoint.inFlight > 5.0 ? 0.125 : {slack:?} - {factor:.9} * endpoint.waiting + endpoint.kvUsage * 0.0625"
        );
        let scorer = Instance::new("cel-scorer", json!({"expression": expression})).unwrap();
        let factor: f64 = format!("{factor:.9}").parse().unwrap();
        let known = |number: Option<f32>| number.filter(|n| n.is_finite()).map(f64::from);
        for (score, row) in scorer.scores(&Request::default(), &view).iter().zip(&rows) {
            let expected = match (row.2 > 5, known(row.0), known(row.1)) {
                (true, ..) => 0.125,
                (false, Some(waiting), Some(kv)) => (slack - factor * waiting + kv * 0.0625).clamp(0.0, 1.0),
                _ => 0.5,
            };
            prop_assert!((f64::from(*score) - expected).abs() < 1e-5, "{expression}: {score} {expected}");
        }
    }
}
