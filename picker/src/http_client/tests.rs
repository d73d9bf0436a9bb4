use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant as StdInstant;

use bytes::Bytes;
use picker_core::config::Scope;
use picker_core::hot::Outcome;
use picker_core::request::{Headers, Request};
use picker_core::{Hot, Strategy, View};
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::reader::MOST_HELD;
use super::*;
use crate::exchange::BodyBudget;

const BUDGET: usize = 1 << 20;
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{\"token_ids\":[1,2]}";

/// A server whose connections play the parts of a script one after the other: each is a list of answers, after which it
/// closes. An empty answer never comes.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    async fn play(script: Vec<Vec<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (log, count) = (seen.clone(), connections.clone());
        let task = tokio::spawn(async move {
            let mut playing = Vec::new();
            for answers in script {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                playing.push(AbortOnDropHandle::new(tokio::spawn(play(stream, answers, log.clone()))));
            }
            std::future::pending().await
        });
        Self { address, seen, connections, _task: AbortOnDropHandle::new(task) }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn play(mut stream: TcpStream, answers: Vec<String>, seen: Arc<Mutex<Vec<String>>>) {
    for answer in answers {
        let mut request = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap_or_default();
            if read == 0 {
                return;
            }
            request.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .split_once("content-length: ")
                .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok());
            if body.len() >= length.unwrap() {
                break;
            }
        }
        seen.lock().unwrap().push(String::from_utf8(request).unwrap());
        if answer.is_empty() {
            std::future::pending::<()>().await;
        }
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn client(budget: usize) -> Client {
    let limits = Limits {
        max_body: 1000,
        refuse_longer: false,
        body_timeout: Duration::ZERO,
        subset_filter: true,
        endpoint_scores: false,
        budget: BodyBudget::new(budget),
    };
    Client::new(Arc::new(limits))
}

fn asking(address: SocketAddr) -> Arc<Strategy> {
    let hot = Hot::default();
    let routing = json!({"plugins": [
        {"type": "token-producer", "parameters": {"modelName": "m", "vllm": {"url": format!("http://{address}/x")}}},
        {"type": "prefix-cache-scorer"},
    ]});
    assert!(matches!(hot.offer(&routing, Scope::Resource), Outcome::Swapped { .. }));
    hot.current().unwrap()
}

fn chat() -> Request {
    let headers = [(":path", "/v1/chat/completions"), ("content-type", "application/json")];
    let headers = headers.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).to_vec();
    let body = r#"{"model":"lora","messages":[{"role":"user","content":"hi"}]}"#;
    Request::new(Headers(headers), Bytes::from(body)).unwrap()
}

/// What comes of a request: `found`, or the reason why nothing was.
async fn ask(strategy: &Strategy, client: &Client) -> &'static str {
    let (request, view) = (chat(), View::empty());
    let prepared = strategy.prepare(&request, &view, StdInstant::now(), client, tokio::time::sleep).await;
    match (prepared.found(), &prepared.failed[..]) {
        (1, []) => "found",
        (0, [reason]) => reason,
        other => panic!("{other:?}"),
    }
}

fn chunked(pieces: &[&str]) -> String {
    let chunks: String = pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_and_connections_are_kept() {
    let answers = vec![OK.to_owned(), chunked(&["{\"token", "_ids\":", "[7]}"]), OK.to_owned()];
    let server = Server::play(vec![answers]).await;
    let (client, strategy) = (client(BUDGET), asking(server.address));
    for _ in 0..3 {
        assert_eq!(ask(&strategy, &client).await, "found");
    }
    assert_eq!(server.connections(), 1);
    let seen = server.seen.lock().unwrap().clone();
    let expected = format!(
        "POST /x/v1/chat/completions/render HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\naccept: \
         application/json\r\naccept-encoding: identity\r\nuser-agent: waypost-picker\r\ncontent-length: 57\r\n\r\n\
         {{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}",
        server.address
    );
    assert_eq!(seen, vec![expected; 3]);
    assert_eq!(client.0.limits.budget.left(), BUDGET - BUDGET / 8);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_no_failure() {
    let server = Server::play(vec![vec![OK.to_owned()], vec![OK.to_owned()]]).await;
    let (client, strategy) = (client(BUDGET), asking(server.address));
    assert_eq!(ask(&strategy, &client).await, "found");
    assert_eq!(ask(&strategy, &client).await, "found");
    assert_eq!(server.connections(), 2);
}

#[rstest]
#[case::not_there("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "status")]
#[case::broken_server("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}", "status")]
// It is followed nowhere.
#[case::elsewhere(
    "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    "status"
)]
#[case::cut("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"token_ids\":[1", "broken")]
#[case::no_http("220 mail.example.com ESMTP\r\n", "broken")]
#[case::no_json("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "unreadable")]
#[case::no_tokens("HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"token_ids\":[]}", "unreadable")]
#[case::nothing("HTTP/1.1 204 No Content\r\n\r\n", "unreadable")]
#[tokio::test]
async fn what_is_no_answer_has_a_reason(#[case] answer: &str, #[case] reason: &str) {
    let server = Server::play(vec![vec![answer.to_owned()]]).await;
    let client = client(BUDGET);
    assert_eq!(ask(&asking(server.address), &client).await, reason);
    assert_eq!(client.0.limits.budget.left(), BUDGET - BUDGET / 8);
}

#[tokio::test]
async fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(ask(&asking(address), &client(BUDGET)).await, "connect");
}

#[tokio::test]
async fn long_answers_are_read_within_the_budget() {
    let ids = "1234,".repeat(30_000);
    let pixels = "A".repeat(4 << 20);
    let answer = chunked(&[&format!("{{\"token_ids\":[{ids}5],\"x\":\""), &pixels, "\"}"]);
    let server = Server::play(vec![vec![answer.clone()], vec![answer]]).await;
    let strategy = asking(server.address);
    let large = client(BUDGET);
    assert_eq!(ask(&strategy, &large).await, "found");
    assert_eq!(large.0.limits.budget.left(), BUDGET - BUDGET / 8);
    let small = client(BUDGET / 4);
    assert_eq!(ask(&strategy, &small).await, "no-room");
    assert_eq!(small.0.limits.budget.left(), BUDGET / 4 - BUDGET / 32);
}

#[tokio::test]
async fn an_answer_without_end_has_one() {
    // Numbers, which are all kept.
    let answer = chunked(&["{\"token_ids\":[", &"1,".repeat(MOST_HELD / 2)]);
    let server = Server::play(vec![vec![answer]]).await;
    assert_eq!(ask(&asking(server.address), &client(4 * MOST_HELD)).await, "too-long");
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing_behind() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"token_ids\":[1,".to_owned();
    let server = Server::play(vec![vec![begun, String::new()]]).await;
    let (client, strategy) = (client(BUDGET), asking(server.address));
    let (request, view) = (chat(), View::empty());
    let whole = client.0.limits.budget.left();
    let waiting = strategy.prepare(&request, &view, StdInstant::now(), &client, tokio::time::sleep);
    let held = async {
        while client.0.limits.budget.left() == whole {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = waiting => panic!("there was no answer"),
        () = held => {}
    }
    assert_eq!(client.0.limits.budget.left(), whole);
    assert!(client.0.idle.lock().unwrap().is_empty());
}
