//! Headers that are written from bodies, in every way in which a gateway sends these.

use std::sync::Arc;

use bytes::Bytes;
use picker_proto::processing_mode::BodySendMode::{self, None as NoBody, *};
use picker_proto::processing_response::Response;
use picker_proto::*;
use rstest::rstest;

use super::client::Picker;
use super::client::Step::{Get, Send};
use super::words::*;
use super::{BODY_TIMEOUT, Fixture, MAX_BODY, MAX_HELD};
use crate::bbr::Bbr;
use crate::bbr::base_models;
use crate::bbr::fields::{Field, Fields};
use crate::exchange::BodyBudget;
use crate::extproc::Answers;
use crate::metrics::Metrics;
use crate::pool::Limits;

const MODEL: &str = "x-gateway-model-name";
const BASE: &str = "x-gateway-base-model-name";

/// A process that writes the model and its base, and the field `user`; with its metrics.
async fn router() -> (Picker, Metrics) {
    limited(|_| {}).await
}

async fn limited(change: impl FnOnce(&mut Limits)) -> (Picker, Metrics) {
    let (metrics, requests) = Metrics::by_body();
    let field = |name: &str, header: &'static str| Field { name: name.into(), header: header.into() };
    let fields = Fields::new(vec![field("model", MODEL), field("user", "x-user")], Some(BASE.into()));
    let adapters = [("travel".to_owned(), "qwen".to_owned())];
    let base_models = Arc::new(arc_swap::ArcSwap::from_pointee(base_models::fixed(&adapters)));
    let mut limits = Limits {
        max_body: MAX_BODY,
        refuse_longer: false,
        body_timeout: BODY_TIMEOUT,
        subset_filter: false,
        endpoint_scores: false,
        budget: BodyBudget::new(MAX_HELD),
    };
    change(&mut limits);
    let (traffic, limits) = (metrics.traffic.clone(), Arc::new(limits));
    let bbr = Bbr { fields, base_models, requests, traffic, limits };
    let picker = Picker::answering(Fixture::new(Option::None, &[]), Answers::Bbr(Arc::new(bbr))).await;
    (picker, metrics)
}

/// The counters of requests, by their outcome.
fn outcomes(metrics: &Metrics) -> Vec<String> {
    let text = metrics.text().unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("waypost_bbr_requests_total"));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// What is to be made of the headers: those that are written, and those that are taken out.
fn common(set: &[(&'static str, &'static str)], removed: &[&str]) -> CommonResponse {
    let set_headers = set.iter().map(|&(name, value)| HeaderValueOption::overwrite(name, value)).collect();
    let remove_headers = removed.iter().map(|&name| name.to_owned()).collect();
    CommonResponse {
        header_mutation: Some(HeaderMutation { set_headers, remove_headers }),
        clear_route_cache: !set.is_empty() || !removed.is_empty(),
        ..CommonResponse::default()
    }
}

fn in_headers(set: &[(&'static str, &'static str)], removed: &[&str]) -> ProcessingResponse {
    Response::RequestHeaders(HeadersResponse { response: Some(common(set, removed)) }).into()
}

fn in_body(set: &[(&'static str, &'static str)]) -> ProcessingResponse {
    Response::RequestBody(BodyResponse { response: Some(common(set, &[])) }).into()
}

/// The answer to headers that wait for a body, with which the route is lost or not.
fn wait(anew: bool) -> ProcessingResponse {
    let response = CommonResponse { clear_route_cache: anew, ..common(&[], &[MODEL, "x-user", BASE]) };
    Response::RequestHeaders(HeadersResponse { response: Some(response) }).into()
}

#[tokio::test]
async fn full_duplex_writes_headers_and_sends_every_byte_back() {
    let (router, metrics) = router().await;
    let ask = ask("travel");
    router
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)),
            Send(body(ask.slice(..10), false)),
            Send(body(ask.slice(10..), true)),
            Get(in_headers(&[(MODEL, "travel"), (BASE, "qwen")], &[])),
            Get(echo(ask, true)),
            Send(response_headers("text/event-stream", false)),
            Get(go_on_response_headers()),
            Send(response_body("data: 1\n\n", false)),
            Get(echo_response("data: 1\n\n", false)),
            Send(response_body("data: [DONE]\n\n", true)),
            Get(echo_response("data: [DONE]\n\n", true)),
        ])
        .await;
    assert_eq!(outcomes(&metrics), [r#"{outcome="set"} 1"#]);
}

#[rstest]
#[case::buffered(Buffered)]
#[case::buffered_partial(BufferedPartial)]
#[tokio::test]
async fn a_gateway_that_buffers_has_the_headers_with_the_body(#[case] mode: BodySendMode) {
    let (router, _) = router().await;
    router
        .play(vec![
            Send(first(chat(), false, mode, NoBody)),
            Get(wait(mode == BufferedPartial)),
            Send(body(ask("qwen"), true)),
            Get(in_body(&[(MODEL, "qwen"), (BASE, "qwen")])),
        ])
        .await;
    // What a client writes itself goes at once, and its route with it.
    router
        .play(vec![
            Send(first(with_header(chat(), MODEL, "forged"), false, mode, NoBody)),
            Get(wait(true)),
            Send(body(r#"{"prompt":"x"}"#, true)),
            Get(in_body(&[])),
        ])
        .await;
}

#[tokio::test]
async fn streamed_chunks_are_read_where_they_come_early() {
    let (router, metrics) = router().await;
    let ask = ask("other");
    router
        .play(vec![
            Send(early(first(chat(), false, Streamed, NoBody))),
            Send(body(ask.slice(..10), false)),
            Send(body(ask.slice(10..), true)),
            // Nothing is known of its base.
            Get(in_headers(&[(MODEL, "other")], &[])),
            Get(go_on_body()),
            Get(go_on_body()),
        ])
        .await;
    router
        .play(vec![
            Send(first(with_header(chat(), BASE, "forged"), false, Streamed, NoBody)),
            Get(in_headers(&[], &[BASE])),
            Send(body(ask.clone(), true)),
            Get(go_on_body()),
        ])
        .await;
    assert_eq!(outcomes(&metrics), [r#"{outcome="set"} 1"#, r#"{outcome="unreadable"} 1"#]);
}

#[tokio::test]
async fn the_model_may_stand_behind_a_long_prompt_and_is_not_looked_for_beyond_the_limit() {
    let (router, metrics) = limited(|limits| {
        limits.max_body = 1 << 20;
        limits.budget = BodyBudget::new(16 << 20);
    })
    .await;
    let late =
        |length: usize| Bytes::from(format!(r#"{{"prompt":"{}","model":"qwen"}}"#, "x".repeat(length)));
    let sent = late(900_000);
    let mut stream = router.open().await;
    stream.send(first(chat(), false, FullDuplexStreamed, NoBody)).await;
    for chunk in sent.chunks(60_000) {
        stream.send(body(Bytes::copy_from_slice(chunk), false)).await;
    }
    stream.send(body("", true)).await;
    let answer = stream.get().await.unwrap();
    assert_eq!(answer, Some(in_headers(&[(MODEL, "qwen"), (BASE, "qwen")], &[])));
    let mut back = Vec::new();
    loop {
        let (bytes, end) = echoed(&stream.get().await.unwrap().unwrap());
        back.extend_from_slice(&bytes);
        if end {
            break;
        }
    }
    assert!(sent == back);

    // A longer one goes by as far as it was read, and the rest of it behind.
    let sent = late(1_200_000);
    let mut stream = router.open().await;
    stream.send(first(chat(), false, FullDuplexStreamed, NoBody)).await;
    stream.send(body(sent.slice(..1_100_000), false)).await;
    assert_eq!(stream.get().await.unwrap(), Some(in_headers(&[], &[])));
    stream.send(body(sent.slice(1_100_000..), true)).await;
    let mut length = 0;
    loop {
        let (bytes, end) = echoed(&stream.get().await.unwrap().unwrap());
        length += bytes.len();
        if end {
            break;
        }
    }
    assert_eq!(length, sent.len());
    assert_eq!(outcomes(&metrics), [r#"{outcome="no-model"} 1"#, r#"{outcome="set"} 1"#]);
}

#[rstest]
#[case::no_json("application/json", "model=qwen")]
#[case::cut("application/json", r#"{"model":"qwen""#)]
#[case::a_list("application/json", "[]")]
#[case::nothing("application/json", "")]
#[case::no_utf_8("application/json", "{\"model\":\"a\u{0}\"}")]
#[tokio::test]
async fn a_body_that_cannot_be_read_goes_by(#[case] kind: &'static str, #[case] text: &'static str) {
    let (router, metrics) = router().await;
    let headers = || {
        HeaderMap::from_iter([(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", kind)])
    };
    router
        .play(vec![
            Send(first(headers(), false, FullDuplexStreamed, NoBody)),
            Send(body(text, true)),
            Get(in_headers(&[], &[])),
            Get(echo(text, true)),
        ])
        .await;
    router
        .play(vec![
            Send(first(headers(), false, Buffered, NoBody)),
            Get(wait(false)),
            Send(body(text, true)),
            Get(in_body(&[])),
        ])
        .await;
    assert_eq!(outcomes(&metrics), [r#"{outcome="unreadable"} 2"#]);
}

#[tokio::test]
async fn a_value_that_no_header_may_have_is_not_written() {
    let (router, metrics) = router().await;
    let long = format!(r#"{{"model":"{}","user":"u"}}"#, "m".repeat(2000));
    for (text, set) in [
        (r#"{"model":"a\r\nx-admin: 1"}"#.to_owned(), &[][..]),
        (r#"{"model":" a"}"#.to_owned(), &[]),
        (r#"{"model":""}"#.to_owned(), &[]),
        (r#"{"model":["a"]}"#.to_owned(), &[]),
        (long, &[("x-user", "u")]),
        (r#"{"model":7,"user":true}"#.to_owned(), &[(MODEL, "7"), ("x-user", "true")]),
        (r#"{"model":"modèle"}"#.to_owned(), &[(MODEL, "modèle")]),
    ] {
        router
            .play(vec![
                Send(first(chat(), false, FullDuplexStreamed, NoBody)),
                Send(body(text.clone(), true)),
                Get(in_headers(set, &[])),
                Get(echo(text, true)),
            ])
            .await;
    }
    assert_eq!(outcomes(&metrics), [r#"{outcome="no-model"} 4"#, r#"{outcome="set"} 3"#]);
    let text = metrics.text().unwrap();
    for line in [
        "bbr_success_total 3",
        r#"bbr_body_field_empty_total{field="model"} 1"#,
        r#"bbr_body_field_not_found_total{field="model"} 1"#,
        r#"bbr_body_field_not_found_total{field="user"} 5"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn compressed_bodies_are_read_and_go_on_as_they_came() {
    let (router, _) = limited(|limits| limits.budget = BodyBudget::new(8 << 20)).await;
    let packed = gzipped(&ask("qwen"));
    router
        .play(vec![
            Send(first(with_header(chat(), "content-encoding", "gzip"), false, FullDuplexStreamed, NoBody)),
            Send(body(packed.clone(), true)),
            Get(in_headers(&[(MODEL, "qwen"), (BASE, "qwen")], &[])),
            Get(echo(packed, true)),
        ])
        .await;
}

#[tokio::test]
async fn what_has_no_body_or_none_that_is_waited_for_goes_on_without_what_its_client_forged() {
    let (router, metrics) = router().await;
    let get = HeaderMap::from_iter([(":method", "GET"), (":path", "/v1/models"), (MODEL, "forged")]);
    router
        .play(vec![
            Send(first(get, true, FullDuplexStreamed, FullDuplexStreamed)),
            Get(in_headers(&[], &[MODEL])),
        ])
        .await;
    // A gateway that buffers would hold back what is not waited for.
    let upgrade = with_header(chat(), "upgrade", "websocket");
    let go = CommonResponse {
        status: common_response::ResponseStatus::ContinueAndReplace.into(),
        ..common(&[], &[])
    };
    router
        .play(vec![
            Send(first(upgrade, false, Buffered, NoBody)),
            Get(Response::RequestHeaders(HeadersResponse { response: Some(go) }).into()),
        ])
        .await;
    assert_eq!(outcomes(&metrics), [r#"{outcome="no-body"} 1"#, r#"{outcome="unreadable"} 1"#]);
}

#[tokio::test]
async fn without_room_for_a_body_the_request_goes_by() {
    let (router, metrics) = limited(|limits| limits.budget = BodyBudget::new(2000)).await;
    let long = Bytes::from(format!(r#"{{"model":"qwen","prompt":"{}"}}"#, "x".repeat(5000)));
    router
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, NoBody)),
            Send(body(long.clone(), false)),
            Get(in_headers(&[], &[])),
            Get(echo(long, false)),
            Send(body("y", true)),
            Get(echo("y", true)),
        ])
        .await;
    assert_eq!(outcomes(&metrics), [r#"{outcome="unreadable"} 1"#]);
}
