//! The servers that are compared, each pinned to the same processor, and the model servers behind them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

use super::SERVERS;
use super::peers::Given;
use super::process::Usage;
use crate::load::Client;
use crate::tools::{cargo, go, locate};
use crate::{Progress, paths, until};

/// What the picker does: three scorers, over model servers that a file names.
pub const CONFIG: &str = "\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: file-discovery, parameters: {path: ENDPOINTS}}
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 3}
dataLayer: {discovery: {pluginRef: file-discovery}}
";
/// Model servers, on consecutive ports from this one on.
const REPLICAS: usize = 8;
const PORT: u16 = 18_000;
/// Bytes of the metrics page of each.
const METRICS: usize = 40_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a picker listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// For ext_proc.
    pub grpc: u16,
    /// For gRPC health.
    pub health: u16,
    /// For metrics, and whether it is ready.
    pub metrics: u16,
}

/// The command line of a picker.
pub fn picker_args(config: &Path, ports: Ports) -> Vec<String> {
    let numbers = [
        ("--grpc-port", ports.grpc),
        ("--grpc-health-port", ports.health),
        ("--metrics-port", ports.metrics),
    ];
    let numbers = numbers.into_iter().flat_map(|(flag, port)| [flag.to_owned(), port.to_string()]);
    ["--config-file".to_owned(), config.display().to_string()].into_iter().chain(numbers).collect()
}

/// The programs.
pub struct Arms {
    pub picker: PathBuf,
    pub sim: PathBuf,
    pub yardstick: PathBuf,
}

/// The programs, running.
pub struct Running {
    servers: Vec<Server>,
    _sim: Child,
    _folder: tempfile::TempDir,
}

/// A server under test.
pub struct Server {
    name: &'static str,
    address: String,
    usage: Usage,
    _child: Child,
}

impl Arms {
    /// Builds them, as they are released.
    ///
    /// # Errors
    /// When a compiler is missing or fails.
    pub async fn built(progress: &Progress) -> Result<Self> {
        let build = cargo(&["build", "--release", "--locked", "-p", "picker", "-p", "sim", "--bins"]);
        progress.step("building the picker as it is released", build.done()).await?;
        let yardstick = paths::cache()?.join("yardstick");
        let folder = paths::checkout().join("e2e/yardstick");
        let build = go::go()?.current_dir(folder).args(["build", "-buildvcs=false", "-trimpath", "-o"]);
        progress.step("building the yardstick", build.arg(&yardstick).arg(".").done()).await?;
        let release = paths::checkout().join("target/release");
        Ok(Self { picker: release.join("picker"), sim: release.join("sim"), yardstick })
    }

    /// Starts them, and the pickers that are given; they end when the value is dropped.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn started(&self, given: &[Given], progress: &Progress) -> Result<Running> {
        let folder = tempfile::tempdir()?;
        let endpoints = folder.path().join("endpoints.yaml");
        let (config, port) = (folder.path().join("config.yaml"), PORT.to_string());
        std::fs::write(&config, CONFIG.replace("ENDPOINTS", &endpoints.display().to_string()))?;
        let (replicas, metrics) = (REPLICAS.to_string(), METRICS.to_string());
        let sim = Command::new(&self.sim)
            .args(["serve", "--bind", "127.0.0.1", "--port", &port, "--replicas", &replicas])
            .args(["--metrics-padding", &metrics, "--write-endpoints"])
            .arg(&endpoints)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting the model servers")?;
        until("the model servers", PATIENCE, || async {
            ensure!(endpoints.exists(), "they have not said where they are");
            Client::new().get(&format!("http://127.0.0.1:{PORT}/health")).await.map(drop)
        })
        .await?;

        let ports = Ports { grpc: 19_002, health: 19_003, metrics: 19_090 };
        let args = picker_args(&config, ports);
        let picker = Server::start("Waypost", "127.0.0.1:19002", &self.picker, &args)?;
        let yardstick = ["-listen", "127.0.0.1:19102"].map(str::to_owned);
        let yardstick = Server::start(YARDSTICK, "127.0.0.1:19102", &self.yardstick, &yardstick)?;
        let ready = until("the picker", PATIENCE, || async {
            Client::new().get("http://127.0.0.1:19090/readyz").await.map(drop)
        });
        progress.step("starting the servers", ready).await?;
        let mut servers = vec![yardstick, picker];
        for (number, given) in (2..).zip(given) {
            let first = 19_002 + 100 * number;
            let args = given.args(&config, Ports { grpc: first, health: first + 1, metrics: first + 88 });
            let address = format!("127.0.0.1:{first}");
            // A few names, which the whole run needs.
            let server = Server::start(given.name.clone().leak(), &address, &given.program, &args)?;
            let listens = until(&given.name, PATIENCE, || async {
                tokio::net::TcpStream::connect(&address).await.map(drop).context("nothing listens")
            });
            progress.step(format_args!("starting {}", given.name), listens).await?;
            servers.push(server);
        }
        Ok(Running { servers, _sim: sim, _folder: folder })
    }
}

/// The one that the others are held against.
pub const YARDSTICK: &str = "Go echo that decides nothing";

impl Running {
    /// All servers, another one first with each repeat.
    pub fn in_turn(&self, repeat: usize) -> impl Iterator<Item = &Server> {
        let count = self.servers.len();
        (0..count).map(move |at| &self.servers[(at + repeat) % count])
    }
}

impl Server {
    fn start(name: &'static str, address: &str, program: &Path, args: &[String]) -> Result<Self> {
        let taskset = locate::program("taskset")?;
        let child = Command::new(taskset)
            .args(["-c", &SERVERS.to_string()])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        // taskset becomes the program.
        let usage = Usage::of(child.id().context("a running process has a number")?);
        Ok(Self { name, address: address.to_owned(), usage, _child: child })
    }

    /// What it is called in the table.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it answers ext_proc.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it has used.
    pub fn usage(&self) -> Usage {
        self.usage
    }
}
