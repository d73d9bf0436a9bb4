//! What is booked and counted, above all when an exchange is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::{StreamExt, poll, stream};
use picker_core::config::Scope;
use picker_core::hot::Outcome;
use picker_proto::build::string;
use picker_proto::processing_mode::BodySendMode::{None as NoBody, *};
use picker_proto::{ProcessingRequest, ProcessingResponse};
use rstest::rstest;
use tonic::Status;

use super::client::Picker;
use super::client::Step::{Get, Send};
use super::words::*;
use super::{Fixture, at_random, by_adapter};
use crate::extproc::grpc::process;

const RED: &str = "10.0.0.1:8000";
const BLUE: &str = "10.0.0.2:8000";

/// Messages of a whole exchange, and how many requests are under way after each.
fn story() -> Vec<(ProcessingRequest, u32)> {
    vec![
        (first(chat(), false, FullDuplexStreamed, FullDuplexStreamed), 0),
        (body(ask("blue").slice(..10), false), 0),
        (body(ask("blue").slice(10..), true), 1),
        (response_headers("text/event-stream", false), 1),
        (response_body("data: 1\n\n", false), 1),
        (response_body("data: 2\n\n", true), 0),
        (response_trailers(), 0),
    ]
}

/// Everything that is ready to be read.
async fn drain(answers: &mut (impl StreamExt<Item = Result<ProcessingResponse, Status>> + Unpin)) {
    while let Poll::Ready(Some(answer)) = poll!(answers.next()) {
        answer.unwrap();
    }
}

#[tokio::test]
async fn a_stream_cut_off_anywhere_leaves_nothing_booked() {
    for cut in 0..=story().len() {
        let fixture = Fixture::new(Some(by_adapter()), &[BLUE]);
        let (tx, rx) = futures::channel::mpsc::unbounded();
        let mut answers = process(fixture.pool.clone(), rx);
        drain(&mut answers).await;
        for (message, booked) in story().into_iter().take(cut) {
            tx.unbounded_send(Ok(message)).unwrap();
            drain(&mut answers).await;
            assert_eq!(fixture.in_flight(), [booked], "cut after {cut}");
        }
        assert_eq!(fixture.lines("waypost_picker_streams "), ["waypost_picker_streams 1"]);
        drop(answers);
        assert_eq!(fixture.in_flight(), [0], "cut after {cut}");
        assert_eq!(fixture.lines("waypost_picker_streams "), ["waypost_picker_streams 0"]);
        let (model, reason) = match cut {
            ..3 => ("unknown", "499\",reason=\"client-closed"),
            // Nobody has seen the answer.
            3 => ("blue", "none\",reason=\"routed"),
            _ => ("blue", "200\",reason=\"routed"),
        };
        assert_eq!(
            fixture.lines("waypost_picker_requests_total"),
            [format!("waypost_picker_requests_total{{model=\"{model}\",status=\"{reason}\"}} 1")],
            "cut after {cut}"
        );
    }
}

#[tokio::test]
async fn a_stream_that_fails_anywhere_leaves_nothing_booked() {
    for cut in 0..=story().len() {
        let fixture = Fixture::new(Some(by_adapter()), &[BLUE]);
        let messages = story().into_iter().take(cut).map(|(message, _)| Ok(message));
        let failed = stream::iter(messages.chain([Err(Status::cancelled("reset"))]));
        let answers: Vec<_> = process(fixture.pool.clone(), failed).collect().await;
        assert_eq!(answers.last().unwrap().as_ref().unwrap_err().code(), tonic::Code::Cancelled);
        assert_eq!(fixture.in_flight(), [0]);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_no_longer_counted() {
    let picker = Picker::start(Fixture::new(Some(at_random()), &[RED])).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = picker.open().await;
        stream.send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)).await;
        stream.get().await.unwrap().unwrap();
        streams.push(stream);
    }
    assert_eq!(picker.fixture.in_flight(), [50]);
    drop(streams);
    let at_rest = async {
        while picker.fixture.in_flight() != [0] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), at_rest).await.expect("nothing is under way");
}

#[tokio::test]
async fn slow_readers_hold_up_their_own_stream_only() {
    let fixture = Fixture::new(Some(at_random()), &[RED]);
    let (tx, rx) = futures::channel::mpsc::unbounded();
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    let rx = rx.inspect(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let mut answers = process(fixture.pool.clone(), rx);
    tx.unbounded_send(Ok(first(chat(), false, FullDuplexStreamed, NoBody))).unwrap();
    for _ in 0..100 {
        tx.unbounded_send(Ok(body("x", false))).unwrap();
    }
    tx.unbounded_send(Ok(body("", true))).unwrap();
    drop(tx);
    // One answer is taken: the others wait where they are, not in a queue of ours.
    answers.next().await.unwrap().unwrap();
    assert_eq!(read.load(Ordering::Relaxed), 4);
    let rest: Vec<_> = answers.map(|answer| echoed(&answer.unwrap())).collect().await;
    let mut expected = vec![("x".into(), false); 100];
    expected.push(("".into(), true));
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn an_answer_of_the_gateway_itself_ends_the_wait() {
    let picker = Picker::start(Fixture::new(Some(by_adapter()), &[RED])).await;
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)),
            Send(body("{", false)),
            Send(response_headers("text/plain", false)),
            Get(go_on_response_headers()),
            Send(response_body("request timeout", true)),
            Get(echo_response("request timeout", true)),
        ])
        .await;
    assert_eq!(
        picker.fixture.lines("waypost_picker_requests_total"),
        [r#"waypost_picker_requests_total{model="unknown",status="200",reason="nothing-to-route"} 1"#]
    );
}

/// The answer to a request, and what is counted of it.
#[rstest]
#[case::not_found("404", "404")]
#[case::created("201", "201")]
#[case::local_reply("503", "503")]
#[case::no_number("nonsense", "none")]
#[tokio::test]
async fn the_status_is_that_of_the_answer(#[case] status: &'static str, #[case] label: &str) {
    let fixture = Fixture::new(Some(by_adapter()), &[BLUE]);
    let blue = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, NoBody)),
            Send(body(ask("nope"), true)),
            Get(blue.in_headers()),
            Get(echo(ask("nope"), true)),
            Send(response_head(status, "application/json", true)),
            Get(go_on_response_headers()),
        ])
        .await;
    assert_eq!(
        picker.fixture.lines("waypost_picker_requests_total"),
        [format!(r#"waypost_picker_requests_total{{model="nope",status="{label}",reason="routed"}} 1"#)]
    );
}

#[tokio::test]
async fn an_old_strategy_is_gone_once_it_has_decided_however_long_answers_take() {
    let fixture = Fixture::new(Some(at_random()), &[RED]);
    let before = fixture.revision();
    let old = Arc::downgrade(&fixture.pool.hot.current().unwrap());
    let picker = Picker::start(fixture).await;
    let mut stream = picker.open().await;
    stream.send(first(chat(), true, NoBody, FullDuplexStreamed)).await;
    let routed = Routed { destination: RED, revision: before, removed: Vec::new() };
    stream.play(vec![Get(routed.in_headers())]).await;

    let outcome = picker.fixture.pool.hot.offer(&by_adapter(), Scope::Resource);
    assert_eq!(outcome, Outcome::Swapped { resets: Vec::new(), warnings: Box::default() });
    // Its stream goes on, under its revision.
    assert!(old.upgrade().is_none());
    let routed = Routed { destination: RED, revision: picker.fixture.revision(), removed: Vec::new() };
    picker.play(vec![Send(first(chat(), true, NoBody, NoBody)), Get(routed.in_headers())]).await;
    stream
        .play(vec![
            Send(response_headers("text/plain", false)),
            Get(go_on_response_headers()),
            Send(response_body("a", true)),
            Get(echo_response("a", true)),
        ])
        .await;
}

#[tokio::test]
async fn responses_from_elsewhere_are_counted() {
    let picker = Picker::start(Fixture::new(Some(at_random()), &["[fd00::1]:8000"])).await;
    let routed =
        Routed { destination: "[fd00::1]:8000", revision: picker.fixture.revision(), removed: Vec::new() };
    for (served, mismatches) in
        [("[fd00::1]:8000", 0), ("[fd00:0::1]:8000", 0), ("10.0.0.9:8000", 1), ("", 2)]
    {
        let served = with_metadata(
            response_headers("text/plain", true),
            "envoy.lb",
            "x-gateway-destination-endpoint-served",
            string(served),
        );
        picker
            .play(vec![
                Send(first(chat(), true, NoBody, NoBody)),
                Get(routed.in_headers()),
                Send(served),
                Get(go_on_response_headers()),
            ])
            .await;
        assert_eq!(
            picker.fixture.lines("waypost_picker_served_mismatches_total"),
            [format!("waypost_picker_served_mismatches_total {mismatches}")]
        );
    }
}

#[tokio::test]
async fn decisions_are_timed() {
    let fixture = Fixture::new(Some(at_random()), &[RED]);
    let picker = Picker::start(fixture).await;
    let mut stream = picker.open().await;
    stream.send(first(chat(), true, NoBody, NoBody)).await;
    stream.get().await.unwrap().unwrap();
    assert_eq!(picker.fixture.pool.traffic.pick.count(), 1);
    assert_eq!(picker.fixture.pool.traffic.overhead.count(), 1);
}
