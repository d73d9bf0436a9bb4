//! A picker's process, with endpoints from a file.

#![allow(dead_code)]

use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use picker_proto::external_processor_client::ExternalProcessorClient;
use tonic::transport::{Channel, Endpoint, Error};

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
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {{type: file-discovery, parameters: {{path: endpoints.yaml}}}}
- {{type: {scorer}}}
dataLayer: {{discovery: {{pluginRef: file-discovery}}}}
"
        );
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        let (address, port) = endpoint;
        let endpoints = format!("endpoints: [{{name: a, address: {address}, port: {port}}}]");
        std::fs::write(dir.path().join("endpoints.yaml"), endpoints).unwrap();
        let ports = [(); 3].map(|()| TcpListener::bind("0.0.0.0:0").unwrap());
        let [grpc, health, pages] = ports.map(|listener| listener.local_addr().unwrap().port());
        let child = Command::new(env!("CARGO_BIN_EXE_picker"))
            .current_dir(dir.path())
            .envs(of_the_image())
            .args(["--config-file=config.yaml", &format!("--max-held-bytes={}", budget << 10)])
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
