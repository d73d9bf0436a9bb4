//! Endpoints that fail, with the real program and simulated model servers: few requests fail.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use picker_proto::external_processor_client::ExternalProcessorClient;
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use picker_proto::processing_request::Request;
use picker_proto::processing_response::Response;
use picker_proto::{HeaderMap, HttpBody, HttpHeaders, ProcessingResponse};
use rstest::rstest;
use sim::engine::Preset;
use sim::server::{FaultConfig, ModelServer, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

#[path = "running/ports.rs"]
mod ports;

/// Nothing here takes longer on a machine that is not stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests of a run.
const REQUESTS: usize = 120;
/// Requests at a time.
const AT_ONCE: usize = 4;
/// How many of a run may fail.
const MAY_FAIL: usize = 3;

/// A port of loopback at which nobody listens.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// How Envoy answers for a server that it can't connect to.
const REFUSED: &str = "upstream connect error or disconnect/reset before headers. reset reason: remote connection \
                       failure, transport failure reason: delayed connect error: Connection refused";

/// A model server on threads of its own, so that all its connections end with it.
struct Server {
    runtime: Option<Runtime>,
    address: SocketAddr,
    _server: ModelServer,
}

impl Server {
    /// One that answers requests with an error at once, if it `fails`.
    fn start(fails: bool) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut config = ServerConfig::new("sim", "m", Preset::Fast.config());
        config.faults = FaultConfig { fail_rate: f64::from(u8::from(fails)), ..FaultConfig::default() };
        let server = {
            let _inside = runtime.enter();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            ModelServer::start(config, tokio::net::TcpListener::from_std(listener).unwrap()).unwrap()
        };
        Self { address: server.address(), runtime: Some(runtime), _server: server }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The program, with its endpoints from a file.
struct Picker {
    child: Child,
    grpc: u16,
    pages: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Picker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Picker {
    async fn start(routing: &str, servers: &[SocketAddr]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut endpoints = "endpoints:\n".to_owned();
        for (n, server) in servers.iter().enumerate() {
            endpoints += &format!("- {{name: s{n}, address: {}, port: {}}}\n", server.ip(), server.port());
        }
        std::fs::write(dir.path().join("endpoints.yaml"), endpoints).unwrap();
        let config = format!(
            "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {{type: file-discovery, parameters: {{path: endpoints.yaml}}}}
{routing}
dataLayer: {{discovery: {{pluginRef: file-discovery}}}}
"
        );
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        let [grpc, health, pages] = ports::free();
        let child = Command::new(env!("CARGO_BIN_EXE_picker"))
            .current_dir(dir.path())
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env("KUBECONFIG", dir.path().join("kubeconfig"))
            .args(["--config-file", "config.yaml", "--grpc-port", &grpc.to_string()])
            .args(["--grpc-health-port", &health.to_string(), "--metrics-port", &pages.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let picker = Self { child, grpc, pages, _dir: dir };
        picker.until("/readyz", "ok").await;
        picker
    }

    /// Body of a page; empty when there is none yet.
    fn get(&self, path: &str) -> String {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.pages)) else {
            return String::new();
        };
        let mut answer = String::new();
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// Waits until a page holds `text`, and returns it.
    async fn until(&self, path: &str, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.get(path);
            if page.contains(text) {
                return page;
            }
            assert!(Instant::now() < deadline, "{path} never said {text:?}; it says {page:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn gateway(&self) -> Gateway {
        let client =
            ExternalProcessorClient::connect(format!("http://127.0.0.1:{}", self.grpc)).await.unwrap();
        Gateway { client }
    }

    /// The end of its log.
    fn log(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

/// Does what Envoy does: asks the picker for each request, sends it where the picker says, and shows the picker the
/// response.
#[derive(Clone)]
struct Gateway {
    client: ExternalProcessorClient<Channel>,
}

impl Gateway {
    /// The status of a completion of `prompt`.
    async fn ask(&mut self, prompt: &str) -> u16 {
        let body = format!(r#"{{"model": "m", "prompt": "{prompt}", "max_tokens": 100}}"#);
        let headers =
            [(":method", "POST"), (":path", "/v1/completions"), ("content-type", "application/json")];
        let (requests, rx) = mpsc::channel(8);
        let headers = HeaderMap::from_iter(headers);
        requests
            .send(picker_proto::build::first(headers, false, FullDuplexStreamed, FullDuplexStreamed))
            .await
            .unwrap();
        let whole = HttpBody { body: Bytes::from(body.clone()), end_of_stream: true };
        requests.send(Request::RequestBody(whole).into()).await.unwrap();
        let mut answers = self.client.process(ReceiverStream::new(rx)).await.unwrap().into_inner();
        let destination = loop {
            if let Some(destination) = destination(&next(&mut answers).await) {
                break destination;
            }
        };
        let (status, text) = forward(&destination, &body).await;
        let code = match status {
            200 => "200",
            500 => "500",
            _ => "503",
        };
        let headers = HeaderMap::from_iter([(":status", code)]);
        let head = HttpHeaders { headers: Some(headers), end_of_stream: false };
        requests.send(Request::ResponseHeaders(head).into()).await.unwrap();
        let text = HttpBody { body: text.into(), end_of_stream: true };
        requests.send(Request::ResponseBody(text).into()).await.unwrap();
        drop(requests);
        while answers.message().await.unwrap().is_some() {}
        status
    }

    /// Sends a request for each of `prompts`, some at a time, and counts those that fail.
    async fn failures(&self, prompts: Vec<String>) -> usize {
        let (prompts, next) = (Arc::new(prompts), Arc::new(AtomicUsize::new(0)));
        let workers = (0..AT_ONCE).map(|_| {
            let (mut gateway, prompts, next) = (self.clone(), prompts.clone(), next.clone());
            tokio::spawn(async move {
                let mut failed = 0;
                while let Some(prompt) = prompts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    failed += usize::from(gateway.ask(prompt).await != 200);
                }
                failed
            })
        });
        let mut failed = 0;
        for worker in workers.collect::<Vec<_>>() {
            failed += worker.await.unwrap();
        }
        failed
    }
}

async fn next(answers: &mut Streaming<ProcessingResponse>) -> ProcessingResponse {
    tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap().unwrap()
}

/// Where the request goes, if `answer` says so.
fn destination(answer: &ProcessingResponse) -> Option<String> {
    let Some(Response::RequestHeaders(headers)) = &answer.response else { return None };
    let set = &headers.response.as_ref()?.header_mutation.as_ref()?.set_headers;
    let header = set.iter().filter_map(|option| option.header.as_ref()).find(|h| h.key == DESTINATION)?;
    Some(String::from_utf8(header.raw_value.to_vec()).unwrap())
}

const DESTINATION: &str = "x-gateway-destination-endpoint";

/// The answer of a server, or Envoy's where there is none.
async fn forward(destination: &str, body: &str) -> (u16, String) {
    let answer = async {
        let mut stream = TcpStream::connect(destination).await.ok()?;
        let head = format!(
            "POST /v1/completions HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(body.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    };
    answer.await.unwrap_or((503, REFUSED.to_owned()))
}

const ACTIVE: &str = "- {type: active-request-scorer}";
const ACTIVE_AND_QUEUE: &str = "- {type: active-request-scorer}\n- {type: queue-scorer}";
const RUNNING: &str = "- {type: running-requests-size-scorer}";
const DEFAULT: &str =
    "- {type: queue-scorer}\n- {type: kv-cache-utilization-scorer}\n- {type: prefix-cache-scorer}
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}";
/// A session stays where it was, as long as that is healthy.
const SESSION: &str = "- {type: prefix-cache-affinity-filter}\n- {type: active-request-scorer}";

/// Prompts of conversations that come one after the other, turn by turn.
fn conversations(count: usize, turns: std::ops::Range<usize>) -> Vec<String> {
    let prompt = |turn: usize, n: usize| {
        let beginning = format!("conversation {n} is about matter {n}; ").repeat(60);
        (0..=turn).fold(beginning, |prompt, turn| prompt + &format!("question {turn} of {n}; ").repeat(20))
    };
    turns.flat_map(|turn| (0..count).map(move |n| prompt(turn, n))).collect()
}

fn unrelated() -> Vec<String> {
    (0..REQUESTS).map(|n| format!("question {n}")).collect()
}

/// Counts the failures of a run over two servers that work and a third.
async fn run(routing: &str, third: Third) -> (Picker, usize) {
    let mut servers: Vec<_> = (0..2).map(|_| Server::start(false)).collect();
    let mut addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    addresses.push(match third {
        Third::Nobody => NOBODY,
        Third::Fails | Third::Ends => {
            servers.push(Server::start(third == Third::Fails));
            servers[2].address
        }
    });
    let picker = Picker::start(routing, &addresses).await;
    let gateway = picker.gateway().await;
    let conversing = third == Third::Ends;
    if conversing {
        assert_eq!(gateway.failures(conversations(24, 0..1)).await, 0);
        servers.truncate(2);
    }
    let prompts = if conversing { conversations(24, 1..6) } else { unrelated() };
    assert_eq!(prompts.len(), REQUESTS);
    let failed = gateway.failures(prompts).await;
    (picker, failed)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Third {
    /// Nobody listens.
    Nobody,
    /// Answers 500 at once.
    Fails,
    /// Works, has its conversations, and is gone.
    Ends,
}

#[rstest]
#[case::active_requests_and_nobody(ACTIVE, Third::Nobody)]
#[case::with_the_queue_and_nobody(ACTIVE_AND_QUEUE, Third::Nobody)]
#[case::running_requests_and_nobody(RUNNING, Third::Nobody)]
#[case::the_default_and_nobody(DEFAULT, Third::Nobody)]
#[case::active_requests_and_errors(ACTIVE, Third::Fails)]
#[case::with_the_queue_and_errors(ACTIVE_AND_QUEUE, Third::Fails)]
#[case::running_requests_and_errors(RUNNING, Third::Fails)]
#[case::the_default_and_errors(DEFAULT, Third::Fails)]
#[case::conversations_return(DEFAULT, Third::Ends)]
#[case::conversations_that_stay_return(SESSION, Third::Ends)]
#[case::active_requests_and_an_end(ACTIVE, Third::Ends)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_requests_fail(#[case] routing: &str, #[case] third: Third) {
    let (picker, failed) = run(routing, third).await;
    assert!(failed <= MAY_FAIL, "{failed} of {REQUESTS} failed\n{}", picker.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_passive_health_most_fail() {
    let routing = format!("{ACTIVE}\nhealth: {{enabled: false}}");
    let (_, failed) = run(&routing, Third::Nobody).await;
    assert!(failed > REQUESTS / 2, "{failed} of {REQUESTS}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_the_metrics_and_the_log_say_who_fails() {
    let (picker, _) = run(ACTIVE, Third::Fails).await;
    let page: serde_json::Value = serde_json::from_str(&picker.get("/debug/endpoints")).unwrap();
    let states: Vec<_> = (0..3).map(|n| page["endpoints"][n]["health"].clone()).collect();
    assert_eq!(
        states[..2],
        [serde_json::json!({"state": "healthy"}), serde_json::json!({"state": "healthy"})]
    );
    assert_eq!(states[2]["reason"], "server-error");
    assert!(states[2]["sinceSeconds"].as_f64().unwrap() < 60.0, "{states:?}");
    let metrics = picker.get("/metrics");
    assert!(metrics.contains("waypost_picker_endpoint_health{endpoint=\"s0-rank-0\""), "{metrics}");
    assert!(!metrics.contains("waypost_picker_ejections_total{reason=\"server-error\"} 0"), "{metrics}");
    let log = picker.log();
    assert!(log.contains("the endpoint fails and is ejected for a while"), "{log}");
}
