use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Instance, build, unknown, with_headers};

fn found(parameters: Value, headers: &[(&str, &str)]) -> FairnessId {
    let mut producer = Instance::new(AgentIdentity::TYPE, parameters).unwrap();
    producer.produce(&with_headers(headers.iter().copied()), &unknown(1));
    producer.fact::<FairnessId>().clone()
}

#[rstest]
#[case::nobody(json!({}), &[("user-agent", "curl")], None, None)]
#[case::claude_code(json!({}), &[("x-claude-code-session-id", "c")], Some("c"), Some("c"))]
#[case::open_code(json!({}), &[("x-session-affinity", "o")], Some("o"), Some("o"))]
#[case::codex(json!({}), &[("session_id", "old"), ("session-id", "new")], Some("new"), Some("new"))]
#[case::codex_of_old(json!({}), &[("session_id", "old")], Some("old"), Some("old"))]
#[case::in_their_order(
    json!({}),
    &[("session-id", "3"), ("x-session-affinity", "2"), ("x-claude-code-session-id", "1")],
    Some("1"),
    Some("1")
)]
#[case::empty_ones_do_not_count(
    json!({}),
    &[("x-claude-code-session-id", " \t"), ("session-id", " s ")],
    Some("s"),
    Some("s")
)]
#[case::additional_ones_first(
    json!({"additionalSessionHeaders": ["X-Other", "x-mine"]}),
    &[("x-claude-code-session-id", "c"), ("x-mine", "m")],
    Some("m"),
    Some("m")
)]
#[case::explicit(
    json!({}),
    &[("session-id", "s"), ("x-llm-d-inference-fairness-id", "tenant")],
    Some("tenant"),
    Some("s")
)]
#[case::explicit_of_old(json!({}), &[("x-gateway-inference-fairness-id", "tenant")], Some("tenant"), None)]
#[case::explicit_and_empty(
    json!({}),
    &[("x-llm-d-inference-fairness-id", ""), ("session-id", "s")],
    Some("s"),
    Some("s")
)]
fn the_first_header_that_says_something_counts(
    #[case] parameters: Value,
    #[case] headers: &[(&str, &str)],
    #[case] id: Option<&str>,
    #[case] agent: Option<&str>,
) {
    let found = found(parameters, headers);
    assert_eq!((found.id(), found.agent.as_deref()), (id.map(str::as_bytes), agent.map(str::as_bytes)));
}

#[test]
fn a_header_that_cannot_be_is_refused() {
    let error =
        build(AgentIdentity::TYPE, json!({"additionalSessionHeaders": ["x-a", "x b"]})).err().unwrap();
    assert_eq!(
        error.to_string(),
        "plugins[0].parameters.additionalSessionHeaders[1]: \"x b\" is no name of a header"
    );
}

#[test]
fn nothing_of_a_request_stays_behind_its_decision() {
    let value = bytes::Bytes::from(vec![b's'; 100]);
    let strategy = crate::testing::strategy(AgentIdentity::SAMPLE);
    let request = crate::Request {
        headers: crate::request::Headers(vec![("session-id".into(), value.clone())]),
        ..crate::Request::default()
    };
    assert!(strategy.route(&request, &unknown(1), None, &mut crate::Cx::live()).is_ok());
    drop(request);
    assert!(value.is_unique());
}
