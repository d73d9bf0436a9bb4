//! A picker's process, with endpoints from a file.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use picker_proto::external_processor_client::ExternalProcessorClient;
use tonic::transport::{Channel, Endpoint, Error};

mod ports;

/// Nothing here takes longer on a machine that is not stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The variables that the image sets.
fn of_the_image() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../../../Dockerfile.picker").lines();
    lines.filter_map(|line| line.strip_prefix("ENV ")?.split_once('='))
}

/// The process, which ends with this.
pub struct Picker {
    child: Child,
    pub grpc: u16,
    pub health: u16,
    pub pages: u16,
    dir: tempfile::TempDir,
}

impl Picker {
    /// Starts it with a scorer, which reads bodies or metrics, a model server at `endpoint`, and so many KiB of memory
    /// for requests.
    pub async fn start(scorer: &str, endpoint: (IpAddr, u16), budget: u64, flags: &[&str]) -> Self {
        let (address, port) = endpoint;
        let endpoints = format!("endpoints: [{{name: a, address: {address}, port: {port}}}]");
        let budget = format!("--max-held-bytes={}", budget << 10);
        let flags: Vec<_> = [budget.as_str()].into_iter().chain(flags.iter().copied()).collect();
        Self::serving(&format!("- {{type: {scorer}}}\n"), &endpoints, &flags).await
    }

    /// Starts it with the plugins in `routing`, further sections after them, and the file `endpoints`.
    pub async fn serving(routing: &str, endpoints: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
dataLayer: {{discovery: {{pluginRef: file-discovery}}}}
plugins:
- {{type: file-discovery, parameters: {{path: endpoints.yaml}}}}
{routing}"
        );
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        std::fs::write(dir.path().join("endpoints.yaml"), endpoints).unwrap();
        let [grpc, health, pages] = ports::free();
        let child = Command::new(env!("CARGO_BIN_EXE_picker"))
            .current_dir(dir.path())
            .envs(of_the_image())
            .arg("--config-file=config.yaml")
            .args([format!("--grpc-port={grpc}"), format!("--grpc-health-port={health}")])
            .arg(format!("--metrics-port={pages}"))
            .args(flags)
            .spawn()
            .unwrap();
        let picker = Self { child, grpc, health, pages, dir };
        let deadline = Instant::now() + PATIENCE;
        while picker.connect().await.is_err() {
            assert!(Instant::now() < deadline, "it does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        picker
    }

    pub async fn connect(&self) -> Result<ExternalProcessorClient<Channel>, Error> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.grpc)).unwrap();
        Ok(ExternalProcessorClient::new(endpoint.connect().await?))
    }

    /// Body of a page; empty when there is none yet.
    pub fn page(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.pages)) else { return String::new() };
        let mut answer = String::new();
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    /// Waits until a page is as `wanted`, and returns it.
    pub async fn until(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.page(path);
            if wanted(&page) {
                return page;
            }
            assert!(Instant::now() < deadline, "{path} never came to it; it says {page:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A figure of the process as the kernel tells it, in KiB where it is one of memory.
    pub fn status(&self, name: &str) -> u64 {
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
