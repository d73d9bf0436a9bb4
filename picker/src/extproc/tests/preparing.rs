//! Requests that wait for a render server.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::{StreamExt, poll};
use picker_proto::ProcessingRequest;
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::words::*;
use super::{Fixture, MAX_HELD};
use crate::exchange::BodyBudget;
use crate::extproc::grpc::process;
use crate::http_client::Client;

const RED: &str = "10.0.0.1:8000";

/// Counts the tokens of prompts with a server, and books them.
fn by_tokens(render: SocketAddr) -> serde_json::Value {
    json!({"plugins": [
        {"type": "token-producer", "parameters": {"modelName": "m", "vllm": {"url": format!("http://{render}")}}},
        {"type": "inflight-load-producer", "parameters": {"addEstimatedOutputTokens": true, "outputRatio": 0}},
        {"type": "token-load-scorer"},
    ]})
}

/// With a client that has the limits of the pool.
fn fixture(render: SocketAddr) -> Fixture {
    let mut fixture = Fixture::new(Some(by_tokens(render)), &[RED]);
    let pool = std::sync::Arc::get_mut(&mut fixture.pool).unwrap();
    pool.http = std::sync::Arc::new(Client::new(pool.limits.clone()));
    fixture
}

fn text() -> Bytes {
    Bytes::from(format!(r#"{{"model":"red","messages":[{{"content":"{}"}}]}}"#, "x".repeat(4000)))
}

/// Tokens that are under way at the endpoint.
fn tokens(fixture: &Fixture) -> u64 {
    fixture.pool.view.load().endpoints[0].live().tokens()
}

fn messages() -> (futures::channel::mpsc::UnboundedSender<Result<ProcessingRequest, tonic::Status>>, Streamed)
{
    let (tx, rx) = futures::channel::mpsc::unbounded();
    tx.unbounded_send(Ok(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
    tx.unbounded_send(Ok(body(text(), true))).unwrap();
    (tx, rx)
}

type Streamed = futures::channel::mpsc::UnboundedReceiver<Result<ProcessingRequest, tonic::Status>>;

#[tokio::test]
async fn a_request_waits_within_the_budget_and_goes_by_what_was_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fixture = fixture(listener.local_addr().unwrap());
    let left = || fixture.pool.limits.budget.left();
    let whole = left();
    let (_tx, rx) = messages();
    let mut answers = process(fixture.pool.clone(), rx);
    let (mut server, _) = tokio::select! {
        accepted = listener.accept() => accepted.unwrap(),
        _ = answers.next() => panic!("it did not wait"),
    };
    assert!(poll!(answers.next()).is_pending());
    assert!(left() + text().len() <= whole, "{} of {whole}, {MAX_HELD}", left());
    let answer = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut request = vec![0; 16 << 10];
        let read = server.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"POST /v1/chat/completions/render HTTP/1.1\r\n"));
        server
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"token_ids\":[1,2,3]}")
            .await
            .unwrap();
        server
    }));
    assert!(answers.next().await.unwrap().is_ok());
    drop(answer);
    assert_eq!(tokens(&fixture), 3);
    assert_eq!(
        fixture.lines("waypost_picker_preparations_total"),
        [r#"waypost_picker_preparations_total{outcome="found"} 1"#]
    );
    while answers.next().await.is_some_and(|answer| {
        answer.unwrap();
        left() < whole
    }) {}
    assert_eq!(left(), whole);
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_nothing_but_the_estimate() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fixture = fixture(address);
    let estimate = ("{\"content\":\"\"}".len() + 4000).div_ceil(4) as u64;
    for (n, outcome) in [(1, "connect"), (2, "connect"), (3, "connect"), (1, "resting")] {
        let (_tx, rx) = messages();
        let mut answers = process(fixture.pool.clone(), rx);
        assert!(answers.next().await.unwrap().is_ok());
        assert_eq!(tokens(&fixture), estimate);
        let line = format!(r#"waypost_picker_preparations_total{{outcome="{outcome}"}} {n}"#);
        assert!(fixture.lines("waypost_picker_preparations_total").contains(&line), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_never_answers_is_not_waited_for_longer_than_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fixture = fixture(listener.local_addr().unwrap());
    let (_tx, rx) = messages();
    let begun = tokio::time::Instant::now();
    let mut answers = process(fixture.pool.clone(), rx);
    assert!(answers.next().await.unwrap().is_ok());
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(
        fixture.lines("waypost_picker_preparations_total"),
        [r#"waypost_picker_preparations_total{outcome="late"} 1"#]
    );
}

#[tokio::test]
async fn a_request_that_waited_goes_to_an_endpoint_that_is_there() {
    const BLUE: &str = "10.0.0.2:8000";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fixture = fixture(listener.local_addr().unwrap());
    let (_tx, rx) = messages();
    let mut answers = process(fixture.pool.clone(), rx);
    let (server, _) = tokio::select! {
        accepted = listener.accept() => accepted.unwrap(),
        _ = answers.next() => panic!("it did not wait"),
    };
    fixture.pool.view.store(Fixture::new(None, &[BLUE]).pool.view.load_full());
    // The server goes too.
    drop((server, listener));
    let blue = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
    assert_eq!(answers.next().await.unwrap().unwrap(), blue.in_headers());
}

#[tokio::test]
async fn what_finds_no_room_waits_for_nothing() {
    // Without a client: what was asked would count as a failure.
    let fixture = Fixture::new(Some(by_tokens(([127, 0, 0, 1], 1).into())), &[RED]);
    let fixture = fixture.limited(|limits| limits.budget = BodyBudget::new(0));
    let red = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    for ends in [true, false] {
        let head = first(chat(), ends, FullDuplexStreamed, FullDuplexStreamed);
        let mut answers = process(fixture.pool.clone(), futures::stream::iter([Ok(head)]));
        assert_eq!(answers.next().await.unwrap().unwrap(), red.in_headers());
    }
    assert_eq!(fixture.lines("waypost_picker_preparations_total"), [""; 0]);
}
