//! The tokens that answers say, counted for the model of their request.

use std::sync::Arc;

use picker_proto::HeaderMap;
use picker_proto::ProcessingRequest;
use picker_proto::processing_mode::BodySendMode::{self, None as NoBody, *};
use picker_proto::processing_request::Request;
use picker_proto::{HttpHeaders, ProcessingResponse};
use rstest::rstest;

use super::client::Picker;
use super::client::Step::{self, Get, Send};
use super::words::*;
use super::{Fixture, by_adapter};
use crate::watch::objectives::Priorities;

const BLUE: &str = "10.0.0.2:8000";

const JSON: [&str; 1] = [
    r#"{"choices":[{"text":"a"}],"usage":{"prompt_tokens":120,"prompt_tokens_details":{"cached_tokens":96},"completion_tokens":30}}"#,
];
/// The key and a number are cut.
const EVENTS: [&str; 4] = [
    "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usa",
    "ge\":{\"completion_tokens\":30,\"prompt_tokens\":12",
    "0,\"prompt_tokens_details\":{\"cached_tokens\":96}}}\n\ndata: [DONE]\n\n",
];

/// The lines of the metrics page after an answer of 120 tokens, 96 of which were cached, and 30 more.
fn counted(model: &str) -> Vec<String> {
    let line = |(name, sum)| format!("waypost_picker_{name}_total{{model=\"{model}\"}} {sum}");
    [("prompt_tokens", 120), ("cached_prompt_tokens", 96), ("completion_tokens", 30)].map(line).to_vec()
}

fn lines(picker: &Picker) -> Vec<String> {
    let names = ["prompt_tokens", "cached_prompt_tokens", "completion_tokens"];
    names.iter().flat_map(|name| picker.fixture.lines(&format!("waypost_picker_{name}"))).collect()
}

async fn one() -> (Picker, Routed) {
    let fixture = Fixture::new(Some(by_adapter()), &[BLUE]);
    let revision = fixture.revision();
    (Picker::start(fixture).await, Routed { destination: BLUE, revision, removed: Vec::new() })
}

/// A request for `blue` that was routed.
fn routed(route: &Routed, response: BodySendMode) -> Vec<Step> {
    vec![
        Send(first(chat(), false, Buffered, response)),
        Get(go_on_headers()),
        Send(body(ask("blue"), true)),
        Get(route.in_body()),
    ]
}

fn answer(mode: BodySendMode, piece: &'static str, end: bool) -> ProcessingResponse {
    if mode == FullDuplexStreamed { echo_response(piece, end) } else { go_on_response_body() }
}

#[rstest]
#[case::json_in_full_duplex(FullDuplexStreamed, "application/json", &JSON)]
#[case::json_buffered(Buffered, "application/json", &JSON)]
#[case::json_streamed(Streamed, "application/json", &JSON)]
#[case::events_in_full_duplex(FullDuplexStreamed, "text/event-stream", &EVENTS)]
#[case::events_streamed(Streamed, "text/event-stream", &EVENTS)]
#[tokio::test]
async fn tokens_of_an_answer_are_counted_for_its_model(
    #[case] mode: BodySendMode,
    #[case] kind: &'static str,
    #[case] pieces: &'static [&'static str],
    #[values(false, true)] trailers: bool,
) {
    let (picker, route) = one().await;
    let mut steps = routed(&route, mode);
    steps.extend([Send(response_headers(kind, false)), Get(go_on_response_headers())]);
    for (at, &piece) in pieces.iter().enumerate() {
        let end = !trailers && at + 1 == pieces.len();
        steps.extend([Send(response_body(piece, end)), Get(answer(mode, piece, end))]);
    }
    if trailers {
        steps.extend([Send(response_trailers()), Get(go_on_response_trailers())]);
    }
    picker.play(steps).await;
    assert_eq!(lines(&picker), counted("blue"));
}

#[tokio::test]
async fn what_comes_after_the_end_is_not_counted_again() {
    let (picker, route) = one().await;
    let mut steps = routed(&route, FullDuplexStreamed);
    steps.extend([
        Send(response_body(JSON[0], true)),
        Get(echo_response(JSON[0], true)),
        Send(response_body(JSON[0], true)),
    ]);
    picker.play(steps).await;
    assert_eq!(lines(&picker), counted("blue"));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_counts_what_it_said() {
    let (picker, route) = one().await;
    let mut steps = routed(&route, Streamed);
    steps.extend([Send(response_body(JSON[0], false)), Get(go_on_response_body())]);
    picker.play(steps).await;
    assert_eq!(lines(&picker), counted("blue"));
}

fn answered(status: &'static str, encoding: &'static str) -> ProcessingRequest {
    let headers = HeaderMap::from_iter([(":status", status), ("content-encoding", encoding)]);
    Request::ResponseHeaders(HttpHeaders { headers: Some(headers), end_of_stream: false }).into()
}

#[rstest]
#[case("200", "gzip", false)]
#[case("200", "identity", true)]
#[case("201", "identity", true)]
#[case("400", "identity", false)]
#[tokio::test]
async fn a_packed_answer_or_an_error_is_not_looked_at(
    #[case] status: &'static str,
    #[case] encoding: &'static str,
    #[case] looked: bool,
) {
    let (picker, route) = one().await;
    let mut steps = routed(&route, FullDuplexStreamed);
    steps.extend([
        Send(answered(status, encoding)),
        Get(go_on_response_headers()),
        Send(response_body(JSON[0], true)),
        Get(echo_response(JSON[0], true)),
    ]);
    picker.play(steps).await;
    assert_eq!(lines(&picker), if looked { counted("blue") } else { Vec::new() });
}

#[tokio::test]
async fn an_answer_to_what_was_not_routed_is_not_counted() {
    let (picker, _) = one().await;
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(go_on_headers()),
            // The gateway has answered by itself.
            Send(response_headers("application/json", false)),
            Get(go_on_response_headers()),
            Send(response_body(JSON[0], true)),
            Get(go_on_response_body()),
        ])
        .await;
    assert_eq!(lines(&picker), Vec::<String>::new());
}

/// Headers of a chat that names an objective.
fn chat_of(objective: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ("x-llm-d-inference-objective", objective),
    ])
}

/// Only an objective that the pool has is a label: clients choose the names.
#[rstest]
#[case::known("batch", "objective=\"batch\",priority=\"-1\"")]
#[case::unknown("invented", "objective=\"\",priority=\"0\"")]
#[tokio::test]
async fn metrics_tell_the_objectives_of_the_pool_apart(#[case] names: &'static str, #[case] labels: &str) {
    let fixture = Fixture::new(Some(by_adapter()), &[BLUE]);
    fixture.pool.policies.priorities.store(Arc::new(Priorities::from_iter([("batch", -1), ("chat", 5)])));
    let picker = Picker::start(fixture).await;
    let mut stream = picker.open().await;
    for message in [
        first(chat_of(names), false, Buffered, Streamed),
        body(ask("blue"), true),
        response_headers("text/event-stream", false),
        response_body(EVENTS[0], false),
        response_body(JSON[0], true),
    ] {
        stream.send(message).await;
        assert!(stream.get().await.unwrap().is_some());
    }
    drop(stream.requests.take());
    assert!(stream.get().await.unwrap().is_none());
    let series = |name: &str, more: &str, end: &str| {
        format!("waypost_picker_{name}{{model=\"blue\",{labels}{more}}} {end}")
    };
    let of = |name: &str| picker.fixture.lines(&format!("waypost_picker_{name}"));
    assert_eq!(of("routed_requests"), [series("routed_requests_total", "", "1")]);
    assert_eq!(of("running_requests"), [series("running_requests", "", "0")]);
    assert_eq!(
        of("time_to_first_token_seconds_count"),
        [series("time_to_first_token_seconds_count", ",streaming=\"true\"", "1")]
    );
    assert_eq!(of("request_input_tokens_sum"), [series("request_input_tokens_sum", "", "120.0")]);
    let bytes = (EVENTS[0].len() + JSON[0].len()) as f64;
    assert_eq!(of("response_size_bytes_sum"), [series("response_size_bytes_sum", "", &format!("{bytes:?}"))]);
    let bytes = ask("blue").len() as f64;
    assert_eq!(of("request_size_bytes_sum"), [series("request_size_bytes_sum", "", &format!("{bytes:?}"))]);
}
