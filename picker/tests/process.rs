//! The program from its start to its end, with endpoints from a file and no cluster.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use picker_proto::external_processor_client::ExternalProcessorClient;
use picker_proto::processing_request::Request;
use picker_proto::{HeaderMap, HttpHeaders, ProcessingRequest, ProcessingResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[path = "running/ports.rs"]
mod ports;

/// Nothing here takes longer on a machine that is not stuck.
const PATIENCE: Duration = Duration::from_secs(30);

struct Picker {
    child: Child,
    grpc: u16,
    health: u16,
    pages: u16,
}

impl Picker {
    fn start(dir: &Path, flags: &[&str]) -> Self {
        Self::start_with(dir, &[&["--config-file", "config.yaml"], flags].concat())
    }

    fn start_with(dir: &Path, flags: &[&str]) -> Self {
        let [grpc, health, pages] = ports::free();
        let child = Command::new(env!("CARGO_BIN_EXE_picker"))
            .current_dir(dir)
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env("KUBECONFIG", dir.join("kubeconfig"))
            .args(["--grpc-port", &grpc.to_string()])
            .args(["--grpc-health-port", &health.to_string(), "--metrics-port", &pages.to_string()])
            .args(flags)
            .spawn()
            .unwrap();
        Self { child, grpc, health, pages }
    }

    /// Body of a page; empty when there is none yet.
    fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.pages)) else { return String::new() };
        let mut answer = String::new();
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// Waits until a page holds `text`, and returns it.
    fn until(&self, path: &str, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.get(path);
            if page.contains(text) {
                return page;
            }
            assert!(Instant::now() < deadline, "{path} never said {text:?}; it says {page:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it doesn't end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Picker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(scorer: &str) -> String {
    format!(
        "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {{type: file-discovery, parameters: {{path: endpoints.yaml, watchFile: true}}}}
- {{type: {scorer}}}
dataLayer: {{discovery: {{pluginRef: file-discovery}}}}
"
    )
}

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[test]
fn it_serves_from_a_file_follows_its_changes_and_ends_gracefully() {
    let dir = tempfile::tempdir().unwrap();
    let endpoints = dir.path().join("endpoints.yaml");
    let config_file = dir.path().join("config.yaml");
    write(&endpoints, "endpoints: [{name: a, address: 127.0.0.1, port: 1}]\n");
    write(&config_file, &config("queue-scorer"));
    let mut picker = Picker::start(dir.path(), &["--drain-timeout", "2s", "-v=4"]);

    picker.until("/readyz", "ok");
    picker.until("/debug/endpoints", "\"address\":\"127.0.0.1:1\"");
    assert!(picker.get("/debug/strategy").contains("queue-scorer"));

    write(&config_file, &config("no-such-scorer"));
    let refused = picker.until("/debug/strategy", "plugins[1].type: unknown plugin type");
    assert!(refused.contains("queue-scorer"));
    picker.until("/metrics", "waypost_strategy_valid 0");

    write(&config_file, &config("running-requests-size-scorer"));
    picker.until("/debug/strategy", "\"type\":\"running-requests-size-scorer\"");
    picker.until("/metrics", "waypost_strategy_swaps_total 2");

    write(&endpoints, "endpoints: [{name: b, address: '::1', port: 2}]\n");
    let listed = picker.until("/debug/endpoints", "\"address\":\"[::1]:2\"");
    assert!(!listed.contains("127.0.0.1:1"));

    let asked = Instant::now();
    picker.signal("TERM");
    picker.until("/readyz", "draining");
    assert!(picker.end().success());
    assert!(asked.elapsed() >= Duration::from_secs(2));
}

/// Opens a stream on which a request is under way.
async fn a_stream(picker: &Picker) -> (mpsc::Sender<ProcessingRequest>, Streaming<ProcessingResponse>) {
    let mut gateway =
        ExternalProcessorClient::connect(format!("http://127.0.0.1:{}", picker.grpc)).await.unwrap();
    let (requests, rx) = mpsc::channel(1);
    let headers = HeaderMap::from_iter([(":method", "GET"), (":path", "/v1/models")]);
    let headers = HttpHeaders { headers: Some(headers), end_of_stream: true };
    requests.send(ProcessingRequest::from(Request::RequestHeaders(headers))).await.unwrap();
    let mut answers = gateway.process(ReceiverStream::new(rx)).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    (requests, answers)
}

impl Picker {
    /// Waits until no connection is taken on the port of gateways.
    async fn closes(&self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.grpc)).is_ok() {
            assert!(Instant::now() < deadline, "it still takes connections");
            tokio::task::yield_now().await;
        }
    }
}

async fn health(port: u16) -> HealthClient<Channel> {
    let probes = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    HealthClient::new(probes.connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_answer_probes_by_every_name() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("endpoints.yaml"), "endpoints: []\n");
    write(&dir.path().join("config.yaml"), &config("queue-scorer"));
    let picker = Picker::start(dir.path(), &[]);
    picker.until("/readyz", "ok");
    for port in [picker.grpc, picker.health] {
        let mut health = health(port).await;
        for service in [
            "",
            "liveness",
            "readiness",
            "inference-extension",
            "envoy.service.ext_proc.v3.ExternalProcessor",
        ] {
            let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
            assert_eq!(answer.get_ref().status(), ServingStatus::Serving, "{service} on {port}");
        }
        let unknown = health.check(HealthCheckRequest { service: "unknown".into() }).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_after_the_drain_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("endpoints.yaml"), "endpoints: [{name: a, address: 127.0.0.1, port: 1}]\n");
    write(&dir.path().join("config.yaml"), &config("queue-scorer"));
    let mut picker = Picker::start(dir.path(), &["--drain-timeout", "0"]);
    picker.until("/readyz", "ok");
    let _stream = a_stream(&picker).await;
    picker.signal("TERM");
    picker.closes().await;
    assert_eq!(picker.get("/readyz"), "draining\n");
    picker.signal("TERM");
    assert!(picker.end().success());
}

#[test]
fn without_the_api_server_it_is_not_ready_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens there, and nobody is given it while the test runs.
    let closed = "127.0.0.1:1";
    let kubeconfig = format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: 'http://{closed}'}}}}]
users: [{{name: u, user: {{}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
current-context: c
"
    );
    write(&dir.path().join("kubeconfig"), &kubeconfig);
    let mut picker = Picker::start_with(dir.path(), &["--strategy", "llm/chat", "--pool-name", "qwen"]);
    picker.until("/metrics", "waypost_picker_watch_up{pool=\"qwen\",watch=\"strategy\"} 0");
    assert_eq!(
        picker.until("/readyz", "not ready"),
        "not ready, waiting for:\na routing: the API server has not told it yet\nthe list of endpoints\n"
    );
    picker.signal("INT");
    assert!(picker.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_probed_until_the_last_stream_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("endpoints.yaml"), "endpoints: [{name: a, address: 127.0.0.1, port: 1}]\n");
    write(&dir.path().join("config.yaml"), &config("queue-scorer"));
    let mut picker = Picker::start(dir.path(), &["--drain-timeout", "0"]);
    picker.until("/readyz", "ok");

    let stream = a_stream(&picker).await;
    picker.signal("TERM");
    picker.until("/readyz", "draining");
    picker.closes().await;
    let mut health = health(picker.health).await;
    for (service, expected) in
        [("liveness", ServingStatus::Serving), ("readiness", ServingStatus::NotServing)]
    {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        assert_eq!(answer.get_ref().status(), expected, "{service}");
    }
    drop(stream);
    assert!(picker.end().success());
}

#[test]
fn it_waits_for_a_config_that_compiles() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("endpoints.yaml"), "endpoints: []\n");
    let config_file = dir.path().join("config.yaml");
    write(&config_file, &config("no-such-scorer"));
    let mut picker = Picker::start(dir.path(), &[]);
    picker.until("/readyz", "plugins[1].type: unknown plugin type");
    write(&config_file, &config("queue-scorer"));
    picker.until("/readyz", "ok");
    // Whoever presses ctrl-C doesn't want to wait for the drain time.
    picker.signal("INT");
    assert!(picker.end().success());
}

#[test]
fn without_endpoints_it_says_what_to_give_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_picker"))
        .args(["--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("name a pool with --pool-name"), "{log}");
}
