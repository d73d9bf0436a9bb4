//! Requests that go nowhere.

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, poll};
use picker_proto::build::string;
use picker_proto::processing_mode::BodySendMode::{self, None as NoBody, *};
use picker_proto::processing_response::Response;
use picker_proto::{
    HeaderMap, ImmediateResponse, Kind, ListValue, ProcessingRequest, ProcessingResponse, Value,
};
use serde_json::json;
use tokio::time::{Instant, timeout};
use tonic::Code;

use super::client::Picker;
use super::client::Step::{Get, Send};
use super::words::*;
use super::{BODY_TIMEOUT, Fixture, MAX_BODY, at_random, by_adapter};
use crate::extproc::grpc::process;

const RED: &str = "10.0.0.1:8000";

/// A local reply: status, drop reason, JSON body, and details for the access log.
fn refusal(code: u32, dropped: &'static str, body: serde_json::Value, details: &str) -> ProcessingResponse {
    use picker_proto::{HeaderMutation, HeaderValueOption, HttpStatus};
    let set_headers = vec![
        HeaderValueOption::overwrite("x-llm-d-request-dropped-reason", dropped),
        HeaderValueOption::overwrite("content-type", "application/json"),
    ];
    Response::ImmediateResponse(ImmediateResponse {
        status: Some(HttpStatus { code }),
        headers: Some(HeaderMutation { set_headers, remove_headers: Vec::new() }),
        body: Bytes::from(body.to_string()),
        details: details.into(),
    })
    .into()
}

fn too_large() -> ProcessingResponse {
    let message = format!("the request body is longer than {MAX_BODY} bytes; send a shorter one");
    let body =
        json!({"error": {"message": message, "type": "invalid_request_error", "code": "body-too-large"}});
    refusal(413, "rejected-body-too-large", body, "waypost_body-too-large")
}

fn no_endpoints() -> ProcessingResponse {
    let message = "no model server is ready for this request; try again later";
    let body = json!({"error": {"message": message, "type": "server_error", "code": "no-endpoints"}});
    refusal(503, "rejected-no-endpoints", body, "waypost_no-endpoints")
}

async fn picker(addresses: &[&str]) -> Picker {
    Picker::start(Fixture::new(Some(by_adapter()), addresses)).await
}

/// The one line of requests that were counted.
fn counted(picker: &Picker) -> String {
    picker.fixture.lines("waypost_picker_requests_total").join("\n")
}

#[tokio::test]
async fn no_endpoint_at_all() {
    let picker = picker(&[]).await;
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)),
            Send(body(ask("blue"), true)),
            Get(no_endpoints()),
        ])
        .await;
    assert_eq!(
        counted(&picker),
        r#"waypost_picker_requests_total{model="other",status="503",reason="no-endpoints"} 1"#
    );
}

#[tokio::test]
async fn a_subset_that_allows_nobody() {
    let picker = picker(&[RED]).await;
    let empty = Value { kind: Some(Kind::ListValue(ListValue::default())) };
    for hint in [empty, string("10.9.9.9:8000")] {
        let headers = with_metadata(
            first(chat(), true, NoBody, NoBody),
            "envoy.lb.subset_hint",
            "x-gateway-destination-endpoint-subset",
            hint,
        );
        picker.play(vec![Send(headers), Get(no_endpoints())]).await;
    }
}

#[tokio::test]
async fn a_subset_that_is_not_looked_at() {
    let fixture = Fixture::new(Some(at_random()), &[RED]).limited(|limits| limits.subset_filter = false);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let headers = with_metadata(
        first(chat(), true, NoBody, NoBody),
        "envoy.lb.subset_hint",
        "x-gateway-destination-endpoint-subset",
        string("10.9.9.9:8000"),
    );
    Picker::start(fixture).await.play(vec![Send(headers), Get(only.in_headers())]).await;
}

#[tokio::test]
async fn filters_that_take_everybody_out() {
    let routing = json!({
        "plugins": [
            {"type": "label-selector-filter", "parameters": {"matchLabels": {"tier": "gold"}}},
            {"type": "random-picker"},
        ],
        "schedulingProfiles": [{"name": "default", "plugins": [
            {"pluginRef": "label-selector-filter"}, {"pluginRef": "random-picker"},
        ]}],
    });
    let picker = Picker::start(Fixture::new(Some(routing), &[RED])).await;
    let message = "no model server takes this request now; try again later";
    let body = json!({"error": {"message": message, "type": "server_error", "code": "all-filtered"}});
    let saturated = refusal(429, "rejected-saturated", body, "waypost_all-filtered");
    picker.play(vec![Send(first(chat(), true, NoBody, NoBody)), Get(saturated)]).await;
    assert_eq!(
        counted(&picker),
        r#"waypost_picker_requests_total{model="unknown",status="429",reason="all-filtered"} 1"#
    );
    assert_eq!(picker.fixture.lines("waypost_picker_sheds_total"), ["waypost_picker_sheds_total 1"]);
}

#[tokio::test]
async fn no_strategy_yet() {
    let picker = Picker::start(Fixture::new(Option::None, &[RED])).await;
    let message = "the endpoint picker has no routing strategy yet; try again shortly";
    let body = json!({"error": {"message": message, "type": "server_error", "code": "no-strategy"}});
    let refused = refusal(503, "rejected-no-strategy", body, "waypost_no-strategy");
    picker.play(vec![Send(first(chat(), false, FullDuplexStreamed, NoBody)), Get(refused)]).await;
}

#[tokio::test]
async fn a_claimed_body_that_is_broken() {
    let picker = picker(&[RED]).await;
    let answer = async |mode: BodySendMode| {
        let mut stream = picker.open().await;
        stream.send(first(chat(), false, mode, NoBody)).await;
        if mode == Buffered {
            stream.play(vec![Get(go_on_headers())]).await;
        }
        stream.send(body("{\"model\": ", true)).await;
        stream.get().await.unwrap().unwrap()
    };
    let Some(Response::ImmediateResponse(refused)) = answer(FullDuplexStreamed).await.response else {
        panic!()
    };
    assert_eq!(refused.status.as_ref().unwrap().code, 400);
    let error: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(error["error"]["code"], "bad-body");
    assert!(
        error["error"]["message"].as_str().unwrap().starts_with("the request body is broken at byte 10: ")
    );
    let dropped = &refused.headers.as_ref().unwrap().set_headers[0].header.as_ref().unwrap().raw_value;
    assert_eq!(dropped, "rejected-bad-body");
    assert_eq!(answer(Buffered).await, Response::ImmediateResponse(refused).into());
}

#[tokio::test]
async fn what_claims_nothing_is_routed_whatever_it_is() {
    let picker = picker(&[RED]).await;
    let headers = |path: &'static str, kind: &'static str| {
        HeaderMap::from_iter([(":method", "POST"), (":path", path), ("content-type", kind), ID])
    };
    let only = Routed { destination: RED, revision: picker.fixture.revision(), removed: Vec::new() };
    for (path, kind, bytes) in [
        ("/v1/audio/transcriptions", "multipart/form-data; boundary=x", &b"--x\r\n\xff\x00"[..]),
        ("/v1/chat/completions", "text/plain", b"Hello"),
        ("/inference.GRPCInferenceService/ModelInfer", "application/grpc", b"\0\0\0\0\x01{"),
        ("/other", "application/json", b"{"),
    ] {
        picker
            .play(vec![
                Send(first(headers(path, kind), false, FullDuplexStreamed, NoBody)),
                Send(body(bytes, true)),
                Get(only.in_headers()),
                Get(echo(bytes, true)),
            ])
            .await;
    }
}

#[tokio::test]
async fn bodies_over_the_limit_where_they_are_refused() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]).limited(|limits| limits.refuse_longer = true);
    let picker = Picker::start(fixture).await;
    let half = Bytes::from(vec![b' '; MAX_BODY / 2 + 1]);
    // As they come in.
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, NoBody)),
            Send(body(half.clone(), false)),
            Send(body(half, false)),
            Get(too_large()),
        ])
        .await;
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(go_on_headers()),
            Send(body(vec![b' '; MAX_BODY + 1], true)),
            Get(too_large()),
        ])
        .await;
    // Over by more than a message may carry besides a body: nothing is read of it.
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(go_on_headers()),
            Send(body(vec![b' '; MAX_BODY + (1 << 20) + 1], true)),
            Get(too_large()),
        ])
        .await;
    // As announced, before a byte of them.
    let mut announced = chat();
    announced.headers.extend(HeaderMap::from_iter([("content-length", (MAX_BODY + 1).to_string())]).headers);
    for mode in [FullDuplexStreamed, Buffered] {
        picker.play(vec![Send(first(announced.clone(), false, mode, NoBody)), Get(too_large())]).await;
    }
    assert_eq!(
        counted(&picker),
        r#"waypost_picker_requests_total{model="unknown",status="413",reason="body-too-large"} 5"#
    );
    // Of which the gateway shows the beginning only.
    let only = Routed { destination: RED, revision: picker.fixture.revision(), removed: Vec::new() };
    picker
        .play(vec![
            Send(first(announced.clone(), false, BufferedPartial, NoBody)),
            Get(go_on_headers()),
            Send(body(vec![b' '; 1000], false)),
            Get(only.in_body()),
        ])
        .await;
    // One that no plugin reads is not held, and not limited.
    let fixture = Fixture::new(Some(at_random()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    Picker::start(fixture)
        .await
        .play(vec![Send(first(announced, false, Buffered, NoBody)), Get(only.letting_go())])
        .await;
}

#[tokio::test]
async fn bodies_that_are_held_at_once() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let message = "too many large requests are being read; try again later";
    let error = json!({"error": {"message": message, "type": "server_error", "code": "overloaded"}});
    let overloaded = refusal(503, "rejected-overloaded", error, "waypost_overloaded");
    let begin = || {
        let (tx, rx) = futures::channel::mpsc::unbounded();
        tx.unbounded_send(Ok(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
        tx.unbounded_send(Ok(body(vec![b' '; MAX_BODY], false))).unwrap();
        (tx, process(fixture.pool.clone(), rx))
    };
    let (_waits, mut waiting) = begin();
    let (asks, mut asking) = begin();
    assert!(poll!(waiting.next()).is_pending());
    assert!(poll!(asking.next()).is_pending());
    // There is no room for a third one, until one of them has gone on.
    let (refused, mut third) = begin();
    assert!(matches!(poll!(third.next()), Poll::Ready(Some(Ok(answer))) if answer == overloaded));
    drop(refused);
    assert!(third.next().await.is_none());
    asks.unbounded_send(Ok(trailers())).unwrap();
    while let Poll::Ready(Some(answer)) = poll!(asking.next()) {
        assert_ne!(answer.unwrap(), overloaded);
    }
    let (_taken, mut third) = begin();
    assert!(poll!(third.next()).is_pending());
    // Or has been given up.
    drop(waiting);
    let (_taken, mut fourth) = begin();
    assert!(poll!(fourth.next()).is_pending());
    let (_refused, mut fifth) = begin();
    assert!(matches!(poll!(fifth.next()), Poll::Ready(Some(Ok(answer))) if answer == overloaded));
    // A gateway that has the body goes on with it: it is not read.
    let (tx, rx) = futures::channel::mpsc::unbounded();
    tx.unbounded_send(Ok(first(chat(), false, Buffered, FullDuplexStreamed))).unwrap();
    tx.unbounded_send(Ok(body(vec![b' '; MAX_BODY], true))).unwrap();
    let mut unread = process(fixture.pool.clone(), rx);
    assert_eq!(unread.next().await.unwrap().unwrap(), go_on_headers());
    assert_eq!(unread.next().await.unwrap().unwrap(), only.in_body());
    assert_eq!(
        fixture.lines("waypost_picker_cut_bodies_total"),
        [r#"waypost_picker_cut_bodies_total{reason="no-room"} 1"#]
    );
}

#[tokio::test]
async fn headers_without_a_body_hold_no_place_for_ever_and_refuse_nobody() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let begin = |mode: BodySendMode, cookie: usize| {
        let headers = with_header(chat(), "cookie", &"c".repeat(cookie));
        let (tx, rx) = futures::channel::mpsc::unbounded();
        tx.unbounded_send(Ok(first(headers, false, mode, FullDuplexStreamed))).unwrap();
        (tx, process(fixture.pool.clone(), rx))
    };
    // As many as there is room for wait, with a byte or without.
    let mut held = Vec::new();
    loop {
        let (tx, mut answers) = begin(FullDuplexStreamed, 40_000);
        match poll!(answers.next()) {
            Poll::Pending => held.push((tx, answers)),
            Poll::Ready(answer) => {
                assert_eq!(answer.unwrap().unwrap(), only.in_headers());
                break;
            }
        }
    }
    assert_eq!(held.len(), 2);
    // There is room for bodies, and one whose headers find none is not refused, whatever gateway brings it.
    let (tx, mut answers) = begin(FullDuplexStreamed, 0);
    tx.unbounded_send(Ok(body(vec![b' '; MAX_BODY - 2], false))).unwrap();
    tx.unbounded_send(Ok(body("{}", true))).unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap(), only.in_headers());
    drop(answers);
    let (tx, mut answers) = begin(FullDuplexStreamed, 40_000);
    tx.unbounded_send(Ok(body(ask("blue"), true))).unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap(), only.in_headers());
    assert_eq!(answers.next().await.unwrap().unwrap(), echo(ask("blue"), true));
    let (_tx, mut answers) = begin(Buffered, 40_000);
    assert_eq!(answers.next().await.unwrap().unwrap(), only.letting_go());
    // Those that wait give their place back.
    held.clear();
    let (_tx, mut answers) = begin(FullDuplexStreamed, 40_000);
    assert!(poll!(answers.next()).is_pending());
}

fn too_slow() -> ProcessingResponse {
    let message = "the rest of the request body did not come in time; send it faster";
    let error =
        json!({"error": {"message": message, "type": "invalid_request_error", "code": "body-too-slow"}});
    refusal(408, "rejected-body-too-slow", error, "waypost_body-too-slow")
}

#[tokio::test(start_paused = true)]
async fn bodies_that_get_stuck_while_they_are_waited_for() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let begin = |mode: BodySendMode, announced: Option<&str>| {
        let headers = announced.map_or_else(chat, |length| with_header(chat(), "content-length", length));
        let (tx, rx) = futures::channel::mpsc::unbounded();
        tx.unbounded_send(Ok(first(headers, false, mode, FullDuplexStreamed))).unwrap();
        (tx, process(fixture.pool.clone(), rx))
    };
    for (announced, answer) in [(Some("1000"), too_slow()), (Option::None, only.in_headers())] {
        // Nothing comes at all.
        let (_silent, mut waiting) = begin(FullDuplexStreamed, announced);
        let began = Instant::now();
        assert_eq!(waiting.next().await.unwrap().unwrap(), answer);
        assert_eq!(began.elapsed(), BODY_TIMEOUT);
        // A chunk now and then is not enough.
        let (silent, mut waiting) = begin(FullDuplexStreamed, announced);
        let began = Instant::now();
        let drip = async {
            loop {
                silent.unbounded_send(Ok(body(" ", false))).unwrap();
                tokio::time::sleep(BODY_TIMEOUT / 3 * 2).await;
            }
        };
        tokio::select! {
            () = drip => unreachable!("it never ends"),
            next = waiting.next() => assert_eq!(next.unwrap().unwrap(), answer),
        }
        assert_eq!(began.elapsed(), BODY_TIMEOUT);
        if announced.is_none() {
            // It goes on, and so does what comes later.
            assert_eq!(waiting.next().await.unwrap().unwrap(), echo("  ", false));
            silent.unbounded_send(Ok(body("{}", true))).unwrap();
            assert_eq!(waiting.next().await.unwrap().unwrap(), echo("{}", true));
        }
        drop(silent);
        assert!(waiting.next().await.is_none());
    }
    // 16 KiB each time are.
    let (steady, mut waiting) = begin(FullDuplexStreamed, Some("200000"));
    for _ in 0..10 {
        steady.unbounded_send(Ok(body(vec![b' '; 16 << 10], false))).unwrap();
        assert!(timeout(BODY_TIMEOUT / 3 * 2, waiting.next()).await.is_err());
    }
    drop(waiting);
    // A gateway that buffers shows nothing of a body before its end, so it has the time of all of it.
    let (_silent, mut waiting) = begin(Buffered, Some("100000"));
    assert_eq!(waiting.next().await.unwrap().unwrap(), go_on_headers());
    let began = Instant::now();
    assert_eq!(waiting.next().await.unwrap().unwrap(), too_slow());
    assert_eq!(began.elapsed(), 7 * BODY_TIMEOUT);
    drop(waiting);
    // But not for ever: of a body that is announced to be long, or of no length.
    for announced in [Some(MAX_BODY.to_string()), Option::None] {
        let (_silent, mut waiting) = begin(Buffered, announced.as_deref());
        assert_eq!(waiting.next().await.unwrap().unwrap(), go_on_headers());
        let began = Instant::now();
        assert_eq!(waiting.next().await.unwrap().unwrap(), too_slow());
        assert_eq!(began.elapsed(), Duration::from_secs(300));
    }
    assert_eq!(
        fixture.lines("waypost_picker_requests_total"),
        [
            r#"waypost_picker_requests_total{model="unknown",status="none",reason="routed"} 2"#,
            r#"waypost_picker_requests_total{model="unknown",status="408",reason="body-too-slow"} 5"#,
            r#"waypost_picker_requests_total{model="unknown",status="499",reason="client-closed"} 1"#,
        ]
    );
    assert_eq!(
        fixture.lines("waypost_picker_cut_bodies_total"),
        [r#"waypost_picker_cut_bodies_total{reason="too-slow"} 2"#]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_refused_request_is_read_for_a_while() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]).limited(|limits| limits.refuse_longer = true);
    let refused = || {
        let (tx, rx) = futures::channel::mpsc::unbounded();
        tx.unbounded_send(Ok(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
        tx.unbounded_send(Ok(body(vec![b' '; MAX_BODY + 1], false))).unwrap();
        (tx, process(fixture.pool.clone(), rx))
    };
    let (rest, mut answers) = refused();
    assert_eq!(answers.next().await.unwrap().unwrap(), too_large());
    for _ in 0..3 {
        rest.unbounded_send(Ok(body("more", false))).unwrap();
        assert!(poll!(answers.next()).is_pending());
    }
    drop(rest);
    assert!(answers.next().await.is_none());

    let (_never_ends, mut answers) = refused();
    assert_eq!(answers.next().await.unwrap().unwrap(), too_large());
    let began = tokio::time::Instant::now();
    assert!(answers.next().await.is_none());
    assert_eq!(began.elapsed().as_secs(), 5);
    // It holds on to nothing meanwhile.
    let strategy = std::sync::Arc::downgrade(&fixture.pool.hot.current().unwrap());
    let (_rest, mut answers) = refused();
    assert_eq!(answers.next().await.unwrap().unwrap(), too_large());
    assert!(poll!(answers.next()).is_pending());
    fixture.pool.hot.offer(&at_random(), picker_core::config::Scope::Resource);
    assert!(strategy.upgrade().is_none());
}

#[tokio::test]
async fn headers_a_second_time_break_the_protocol() {
    let picker = picker(&[RED]).await;
    let mut stream = picker.open().await;
    stream.send(first(chat(), true, NoBody, NoBody)).await;
    stream.get().await.unwrap().unwrap();
    stream.send(first(chat(), true, NoBody, NoBody)).await;
    assert_eq!(stream.get().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_part_of_a_kind_to_come_is_passed_over() {
    let picker = picker(&[RED]).await;
    let only = Routed { destination: RED, revision: picker.fixture.revision(), removed: Vec::new() };
    picker
        .play(vec![
            Send(first(chat(), true, NoBody, NoBody)),
            Get(only.in_headers()),
            Send(ProcessingRequest::default()),
            Send(response_headers("text/plain", true)),
            Get(go_on_response_headers()),
        ])
        .await;
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, NoBody)),
            Send(body(ask("blue").slice(..20), false)),
            Send(ProcessingRequest::default()),
            Send(body(ask("blue").slice(20..), true)),
            Get(only.in_headers()),
            Get(echo(ask("blue"), true)),
        ])
        .await;
}
