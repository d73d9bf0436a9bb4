//! The memory of the program under each way of holding it that requests have: what it takes at rest, its budget, and a
//! fifth of that, and never more.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

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
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// Nothing here takes longer on a machine that is not stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// The budget of the picker, in KiB.
const BUDGET: u64 = 64 << 10;
const CONNECTIONS: usize = 8;

struct Picker {
    child: Child,
    grpc: u16,
    _dir: tempfile::TempDir,
}

impl Picker {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: file-discovery, parameters: {path: endpoints.yaml}}
- {type: prefix-cache-scorer}
dataLayer: {discovery: {pluginRef: file-discovery}}
";
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        let endpoints = "endpoints: [{name: a, address: 127.0.0.1, port: 1}]";
        std::fs::write(dir.path().join("endpoints.yaml"), endpoints).unwrap();
        let ports = [(); 3].map(|()| TcpListener::bind("0.0.0.0:0").unwrap());
        let [grpc, health, pages] = ports.map(|listener| listener.local_addr().unwrap().port());
        let child = Command::new(env!("CARGO_BIN_EXE_picker"))
            .current_dir(dir.path())
            .args(["--config-file=config.yaml", &format!("--max-held-bytes={}", BUDGET << 10)])
            .args([format!("--grpc-port={grpc}"), format!("--grpc-health-port={health}")])
            .args([format!("--metrics-port={pages}"), "--body-timeout=1h".to_owned()])
            .spawn()
            .unwrap();
        let picker = Self { child, grpc, _dir: dir };
        let deadline = Instant::now() + PATIENCE;
        while picker.connect().await.is_err() {
            assert!(Instant::now() < deadline, "it does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        picker
    }

    async fn connect(&self) -> Result<ExternalProcessorClient<Channel>, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.grpc)).unwrap();
        Ok(ExternalProcessorClient::new(endpoint.connect().await?))
    }

    /// A figure of the process as the kernel tells it, in KiB where it is one of memory.
    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Picker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Stream {
    _requests: mpsc::Sender<ProcessingRequest>,
    answers: Streaming<ProcessingResponse>,
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
    let answers = client.process(ReceiverStream::new(rx)).await.unwrap().into_inner();
    requests.send(first(headers, false, FullDuplexStreamed, FullDuplexStreamed)).await.unwrap();
    for (at, piece) in pieces.iter().enumerate() {
        let body = HttpBody { body: piece.clone(), end_of_stream: ends && at + 1 == pieces.len() };
        // A stream that was refused takes no more.
        if requests.send(ProcessingRequest::from(Request::RequestBody(body))).await.is_err() {
            break;
        }
    }
    Stream { _requests: requests, answers }
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
    let picker = Picker::start().await;
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
        tokio::time::timeout(PATIENCE, stream.answers.message()).await.unwrap().unwrap().unwrap();
    }
    let (most, bound) = (picker.status("VmHWM"), base + BUDGET + BUDGET / 5);
    assert!(most <= bound, "{most} KiB at most, and {base} at rest: more than {bound}");
    assert_eq!(held.len(), streams);
}

/// The place of all requests may be taken by headers whose bodies never come: those whose bodies come go on.
#[tokio::test(flavor = "multi_thread")]
async fn headers_without_bodies_refuse_nobody() {
    let picker = Picker::start().await;
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
            let answer =
                tokio::time::timeout(PATIENCE, stream.answers.message()).await.unwrap().unwrap().unwrap();
            assert!(matches!(answer.response, Some(Response::RequestHeaders(_))), "{answer:?}");
        }
    }
}

/// With huge pages, memory would be taken that nobody wrote to.
#[tokio::test]
async fn there_are_no_huge_pages() {
    let picker = Picker::start().await;
    assert_eq!(picker.status("THP_enabled"), 0);
}
