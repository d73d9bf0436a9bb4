use rstest::rstest;
use serde_json::{Value, json};

use crate::endpoint::Load;
use crate::request::Request;
use crate::testing::{scores, strategy, unknown};

#[rstest]
#[case(json!({}), &[0, 1, 4], &[1.0, 0.75, 0.0])]
#[case::relative_to_the_busiest_not_to_the_idlest(json!({}), &[2, 4], &[0.5, 0.0])]
#[case::all_idle(json!({}), &[0, 0], &[1.0, 1.0])]
#[case::all_equal(json!({}), &[3, 3], &[0.0, 0.0])]
#[case::idle_threshold(json!({"idleThreshold": 2}), &[0, 2, 3, 4], &[1.0, 1.0, 0.25, 0.0])]
#[case::max_busy_score(json!({"maxBusyScore": 0.5}), &[0, 1, 4], &[1.0, 0.375, 0.0])]
#[case::request_timeout_has_no_effect(json!({"requestTimeout": "2m"}), &[0, 1, 4], &[1.0, 0.75, 0.0])]
#[case::by_the_picker_itself(json!({"inFlightLoadProducerName": "inflight-load-producer"}), &[0, 1, 4], &[1.0, 0.75, 0.0])]
fn scores_by_requests_under_way(
    #[case] parameters: Value,
    #[case] in_flight: &[u32],
    #[case] expected: &[f32],
) {
    let view = unknown(in_flight.len());
    for (endpoint, &count) in view.endpoints.iter().zip(in_flight) {
        endpoint.live().add(Load { requests: count, tokens: 0 });
    }
    let scores = scores("active-request-scorer", parameters, &Request::default(), &view);
    assert_eq!(scores, expected);
}

#[test]
fn an_inflight_load_producer_may_be_named() {
    let routing = json!({"plugins": [
        {"type": "inflight-load-producer", "name": "mine"},
        {"type": "active-request-scorer", "parameters": {"inFlightLoadProducerName": "mine"}},
    ]});
    let strategy = strategy(&routing.to_string());
    let producers: Vec<_> = strategy.producers.iter().map(|p| &*p.producer.name).collect();
    assert_eq!((producers, &*strategy.warnings), (vec!["mine"], &[][..]));
}
