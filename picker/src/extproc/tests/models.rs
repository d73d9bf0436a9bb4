//! Requests that go on under another model than their client asked for, and the name in their answers.

use std::sync::Arc;

use bytes::Bytes;
use picker_core::rewrite::{Match, ModelMatch, Rule, Rules, Target};
use picker_proto::body_mutation::Mutation;
use picker_proto::processing_mode::BodySendMode::{self, *};
use picker_proto::processing_response::Response;
use picker_proto::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ProcessingResponse,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::client::Picker;
use super::client::Step::{Get, Send};
use super::words::*;
use super::{Fixture, at_random};

const ONE: &str = "10.0.0.1:8000";

/// A strategy that reads no body but for its rules: `qwen` goes on as `qwen-v2`.
fn rewriting() -> Value {
    let mut routing = at_random();
    routing["models"] = json!({"rules": [
        {"name": "canary", "matches": [{"model": "qwen"}], "targets": [{"model": "qwen-v2"}]},
    ]});
    routing
}

async fn start(routing: Value) -> (Picker, Routed) {
    let fixture = Fixture::new(Some(routing), &[ONE]);
    let revision = fixture.revision();
    (Picker::start(fixture).await, Routed { destination: ONE, revision, removed: Vec::new() })
}

fn replaced(route: &Routed, new: impl Into<Bytes>) -> ProcessingResponse {
    let mut whole = route.in_body();
    let Some(Response::RequestBody(answer)) = &mut whole.response else { panic!("{whole:?}") };
    let mutation = Some(Mutation::Body(new.into()));
    answer.response.as_mut().unwrap().body_mutation = Some(BodyMutation { mutation });
    whole
}

fn replaced_response(new: &'static str) -> ProcessingResponse {
    let body_mutation = Some(BodyMutation { mutation: Some(Mutation::Body(new.into())) });
    let response = Some(CommonResponse { body_mutation, ..CommonResponse::default() });
    Response::ResponseBody(BodyResponse { response }).into()
}

/// The answer to response headers whose body comes in other pieces.
fn without_length() -> ProcessingResponse {
    let mutation =
        HeaderMutation { set_headers: Vec::new(), remove_headers: vec!["content-length".to_owned()] };
    let response = Some(CommonResponse { header_mutation: Some(mutation), ..CommonResponse::default() });
    Response::ResponseHeaders(HeadersResponse { response }).into()
}

/// The pieces of an answer, and what the client gets in place of each.
const EVENTS: [(&str, &str); 3] = [
    ("data: {\"id\":1,\"model\":\"qwe", "data: {\"id\":1,\"model\":"),
    (
        "n-v2\",\"choices\":[]}\n\ndata: {\"model\":\"qwen-v2\"",
        "\"qwen\",\"choices\":[]}\n\ndata: {\"model\":\"qwen\"",
    ),
    ("}\n\ndata: [DONE]\n\n", "}\n\ndata: [DONE]\n\n"),
];

#[rstest]
#[case::in_full_duplex(FullDuplexStreamed)]
#[case::streamed(Streamed)]
#[tokio::test]
async fn the_server_is_asked_for_its_model_and_the_client_is_told_its_own(#[case] mode: BodySendMode) {
    let (picker, route) = start(rewriting()).await;
    let mut steps = vec![
        Send(first(chat(), false, Buffered, mode)),
        Get(go_on_headers()),
        Send(body(ask("qwen"), true)),
        Get(replaced(&route, ask("qwen-v2"))),
        Send(response_headers("text/event-stream", false)),
        Get(if mode == Streamed { without_length() } else { go_on_response_headers() }),
    ];
    for (at, (piece, expected)) in EVENTS.into_iter().enumerate() {
        let end = at + 1 == EVENTS.len();
        let unchanged = if mode == Streamed { go_on_response_body() } else { echo_response(piece, end) };
        let changed =
            || if mode == Streamed { replaced_response(expected) } else { echo_response(expected, end) };
        let answer = if piece == expected { unchanged } else { changed() };
        steps.extend([Send(response_body(piece, end)), Get(answer)]);
    }
    picker.play(steps).await;
    let line = "waypost_picker_model_rewrites_total{rule=\"canary\",target_model=\"qwen-v2\"} 1";
    assert_eq!(picker.fixture.lines("waypost_picker_model_rewrites_total"), [line]);
}

#[tokio::test]
async fn a_request_in_full_duplex_changes_by_its_model_alone() {
    let (picker, route) = start(rewriting()).await;
    let ask = ask("qwen");
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, Buffered)),
            Send(body(ask.slice(..12), false)),
            Send(body(ask.slice(12..), true)),
            Get(route.in_headers()),
            Get(echo(ask.slice(..10), false)),
            Get(echo("qwen-v2", false)),
            Get(echo(ask.slice(14..), true)),
            Send(response_headers("application/json", false)),
            Get(without_length()),
            Send(response_body(r#"{"model":"qwen-v2"}"#, true)),
            Get(replaced_response(r#"{"model":"qwen"}"#)),
        ])
        .await;
}

#[tokio::test]
async fn a_compressed_body_goes_on_as_text() {
    let (picker, route) = start(rewriting()).await;
    let headers = with_header(chat(), "content-encoding", "gzip");
    let route = Routed { removed: vec!["content-encoding".to_owned()], ..route };
    picker
        .play(vec![
            Send(first(headers, false, Buffered, None)),
            Get(go_on_headers()),
            Send(body(gzipped(&ask("qwen")), true)),
            Get(replaced(&route, ask("qwen-v2"))),
        ])
        .await;
}

#[tokio::test]
async fn other_models_and_answers_of_other_kinds_stay_as_they_are() {
    let (picker, route) = start(rewriting()).await;
    let json = r#"{"model":"qwen-v2"}"#;
    for (model, kind) in [("other", "application/json"), ("qwen", "application/octet-stream")] {
        let expected = if model == "other" { route.in_body() } else { replaced(&route, ask("qwen-v2")) };
        picker
            .play(vec![
                Send(first(chat(), false, Buffered, FullDuplexStreamed)),
                Get(go_on_headers()),
                Send(body(ask(model), true)),
                Get(expected),
                Send(response_headers(kind, false)),
                Get(go_on_response_headers()),
                Send(response_body(json, true)),
                Get(echo_response(json, true)),
            ])
            .await;
    }
}

#[tokio::test]
async fn what_is_held_back_goes_on_before_trailers() {
    let (picker, route) = start(rewriting()).await;
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, FullDuplexStreamed)),
            Get(go_on_headers()),
            Send(body(ask("qwen"), true)),
            Get(replaced(&route, ask("qwen-v2"))),
            Send(response_headers("application/json", false)),
            Get(go_on_response_headers()),
            Send(response_body(r#"{"model":"qwen"#, false)),
            Get(echo_response(r#"{"model":"#, false)),
            // All of it is held back.
            Send(response_body("-v", false)),
            Send(response_trailers()),
            Get(echo_response(r#""qwen-v"#, false)),
            Get(go_on_response_trailers()),
        ])
        .await;
}

#[tokio::test]
async fn rules_of_the_cluster_count_for_a_strategy_that_reads_no_body() {
    let (picker, route) = start(at_random()).await;
    let exchange = |expected| {
        vec![
            Send(first(chat(), false, Buffered, None)),
            Get(go_on_headers()),
            Send(body(ask("qwen"), true)),
            Get(expected),
        ]
    };
    let rule = Rule {
        name: "food/0".into(),
        matches: [Match { model: Some(ModelMatch::Exact("qwen".into())), ..Match::default() }].into(),
        targets: [Target { model: "food".into(), weight: 1, fallbacks: Box::default() }].into(),
        sticky: Option::None,
        priority: Option::None,
        share: Arc::default(),
    };
    picker.fixture.pool.policies.rules.store(Arc::new(Rules::from_iter([Arc::new(rule)])));
    picker.play(exchange(replaced(&route, ask("food")))).await;
    picker.fixture.pool.policies.rules.store(Arc::default());
    picker.play(vec![Send(first(chat(), false, Buffered, None)), Get(route.letting_go())]).await;
}

#[tokio::test]
async fn headers_that_say_how_a_request_is_treated_do_not_reach_the_server() {
    let names = ["x-gateway-inference-objective", "x-llm-d-model-name-rewrite", "x-request-id"];
    let headers = names.into_iter().fold(chat(), |headers, name| with_header(headers, name, "food"));
    let mut routing = at_random();
    for (trust, removed, model) in [
        (json!({}), &names[..2], "qwen"),
        (json!({"modelRewrite": true}), &names[..2], "food"),
        (json!({"forward": true}), &names[1..2], "qwen"),
    ] {
        let rules = json!({"rules": [{"name": "r", "matches": [{"model": "none"}], "priority": 1}]});
        // Without a header that is believed, a rule has to need the body.
        routing["models"] = if trust["modelRewrite"] == true { json!({}) } else { rules };
        routing["trust"] = trust;
        let (picker, route) = start(routing.clone()).await;
        let route = Routed { removed: removed.iter().map(|&name| name.to_owned()).collect(), ..route };
        let expected = if model == "qwen" { route.in_body() } else { replaced(&route, ask(model)) };
        picker
            .play(vec![
                Send(first(headers.clone(), false, Buffered, None)),
                Get(go_on_without(removed)),
                Send(body(ask("qwen"), true)),
                Get(expected),
            ])
            .await;
    }
}
