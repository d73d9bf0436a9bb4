//! The memory of the program under each way of holding it that requests have: what it takes at rest, its budget, and a
//! fifth of that, and never more.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod running;

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use picker_proto::build::first;
use picker_proto::external_processor_client::ExternalProcessorClient;
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use picker_proto::processing_request::Request;
use picker_proto::processing_response::Response;
use picker_proto::{HeaderMap, HttpBody, ProcessingRequest, ProcessingResponse};
use rstest::rstest;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use running::{PATIENCE, Picker};

/// The budget of the picker, in KiB.
const BUDGET: u64 = 64 << 10;
const CONNECTIONS: usize = 8;

async fn start() -> Picker {
    let nobody = (IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
    Picker::start("prefix-cache-scorer", nobody, BUDGET, &["--body-timeout=1h"]).await
}

struct Stream {
    _requests: mpsc::Sender<ProcessingRequest>,
    /// None where the stream was refused, for connections hold as much as they may.
    answers: Option<Streaming<ProcessingResponse>>,
}

/// A request with these headers beside the usual ones, and these pieces of a body, which doesn't end.
async fn send(
    client: &mut ExternalProcessorClient<Channel>,
    more: &[(&str, &str)],
    pieces: &[Bytes],
    ends: bool,
) -> Stream {
    let usual = [(":method", "POST"), (":path", "/v1/completions"), ("content-type", "application/json")];
    let all = usual.into_iter().chain(more.iter().copied());
    let headers = HeaderMap::from_iter(all.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let (requests, rx) = mpsc::channel(1);
    let answers = match client.process(ReceiverStream::new(rx)).await {
        Ok(answers) => answers.into_inner(),
        Err(refused) => {
            assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
            return Stream { _requests: requests, answers: None };
        }
    };
    requests.send(first(headers, false, FullDuplexStreamed, FullDuplexStreamed)).await.unwrap();
    for (at, piece) in pieces.iter().enumerate() {
        let body = HttpBody { body: piece.clone(), end_of_stream: ends && at + 1 == pieces.len() };
        // A stream that was refused takes no more.
        if requests.send(ProcessingRequest::from(Request::RequestBody(body))).await.is_err() {
            break;
        }
    }
    Stream { _requests: requests, answers: Some(answers) }
}

#[rstest]
#[case::announced_length_and_two_bytes(2000, "1048576", 0, 1, 2)]
#[case::announced_length_and_two_chunks(2000, "16000000", 0, 16_000, 2)]
#[case::many_chunks(100, "", 0, 16_000, 70)]
#[case::many_chunks_of_an_announced_body(100, "16000000", 0, 16_000, 70)]
#[case::tiny_chunks(200, "", 0, 1, 1000)]
#[case::one_big_message(100, "", 0, 1 << 20, 1)]
#[case::headers(2000, "", 50_000, 0, 0)]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_takes_more_than_the_budget(
    #[case] streams: usize,
    #[case] announced: &str,
    #[case] header: usize,
    #[case] piece: usize,
    #[case] pieces: usize,
) {
    let picker = start().await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(picker.connect().await.unwrap());
    }
    let base = picker.status("VmRSS");
    let long = "c".repeat(header);
    let mut headers = Vec::new();
    if !announced.is_empty() {
        headers.push(("content-length", announced));
    }
    if header > 0 {
        headers.push(("cookie", &*long));
    }
    let pieces = vec![Bytes::from(vec![b' '; piece]); pieces];
    let mut held = Vec::new();
    for at in 0..streams {
        held.push(send(&mut clients[at % CONNECTIONS], &headers, &pieces, false).await);
    }
    // Each connection has been read to its end when a further request on it is answered, by a choice or a refusal.
    for client in &mut clients {
        let mut stream = send(client, &[], &[Bytes::from_static(b"{}")], true).await;
        if let Some(answers) = &mut stream.answers {
            tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap().unwrap();
        }
    }
    let (most, bound) = (picker.status("VmHWM"), base + BUDGET + BUDGET / 5);
    assert!(most <= bound, "{most} KiB at most, and {base} at rest: more than {bound}");
    assert_eq!(held.len(), streams);
}

/// The place of all requests may be taken by headers whose bodies never come: those whose bodies come go on.
#[tokio::test(flavor = "multi_thread")]
async fn headers_without_bodies_refuse_nobody() {
    let picker = start().await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(picker.connect().await.unwrap());
    }
    let long = "c".repeat(50_000);
    let mut held = Vec::new();
    for at in 0..2000 {
        held.push(send(&mut clients[at % CONNECTIONS], &[("cookie", &*long)], &[], false).await);
    }
    let pieces = vec![Bytes::from(vec![b' '; 16_000]); 20];
    for client in &mut clients {
        for pieces in [&[][..], &pieces] {
            let pieces: Vec<_> = pieces.iter().cloned().chain([Bytes::from_static(b"{}")]).collect();
            let mut stream = send(client, &[], &pieces, true).await;
            let answers = stream.answers.as_mut().unwrap().message();
            let answer = tokio::time::timeout(PATIENCE, answers).await.unwrap().unwrap().unwrap();
            assert!(matches!(answer.response, Some(Response::RequestHeaders(_))), "{answer:?}");
        }
    }
}

/// With huge pages, memory would be taken that nobody wrote to.
#[tokio::test]
async fn there_are_no_huge_pages() {
    let picker = start().await;
    assert_eq!(picker.status("THP_enabled"), 0);
}
