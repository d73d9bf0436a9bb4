use serde_json::json;

use crate::request::Request;
use crate::testing::{lora, request, scores, unknown, view};
use crate::view::Signals;

#[test]
fn scores_by_what_must_happen_before_the_adapter_can_be_used() {
    let view = view([
        lora(2, &["sql", "chat"], &[]),
        lora(2, &["chat"], &[]),
        lora(2, &["chat", "code"], &["sql"]),
        lora(1, &["chat"], &["sql"]),
        lora(2, &["chat", "code"], &[]),
        lora(2, &["chat"], &["code"]),
        lora(0, &[], &[]),
    ]);
    let scores = scores("lora-affinity-scorer", json!({}), &request("sql", ""), &view);
    assert_eq!(scores, [1.0, 0.8, 0.6, 0.6, 0.0, 0.0, 0.0]);
}

#[test]
fn an_unknown_server_gets_the_mean() {
    let view = view([lora(2, &["sql"], &[]), Signals::default(), lora(1, &["chat"], &[])]);
    let scores = scores("lora-affinity-scorer", json!({}), &request("sql", ""), &view);
    assert_eq!(scores, [1.0, 0.5, 0.0]);
}

#[test]
fn nothing_known_scores_0() {
    let score = |request: &Request| scores("lora-affinity-scorer", json!({}), request, &unknown(2));
    assert_eq!(score(&request("sql", "")), [0.0, 0.0]);
    assert_eq!(score(&Request::default()), [0.0, 0.0]);
}
