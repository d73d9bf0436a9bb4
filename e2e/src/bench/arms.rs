//! The servers that are compared, each pinned to the same processor, and the model servers behind them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};

use super::SERVERS;
use super::process::Usage;
use crate::load::Client;
use crate::tools::{cargo, go, locate};
use crate::{Progress, paths, until};

/// What the picker does: three scorers, over model servers that a file names.
const CONFIG: &str = "\
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

/// The programs.
pub struct Arms {
    picker: PathBuf,
    sim: PathBuf,
    yardstick: PathBuf,
}

/// The programs, running.
pub struct Running {
    servers: [Server; 2],
    _sim: Child,
    _folder: tempfile::TempDir,
}

/// A server under test.
pub struct Server {
    name: &'static str,
    address: String,
    usage: Usage,
    child: Child,
}

impl Arms {
    /// Builds them, as they are released.
    ///
    /// # Errors
    /// When a compiler is missing or fails.
    pub async fn built(progress: &Progress) -> Result<Self> {
        let [picker, sim] = released(progress).await?;
        let yardstick = paths::cache()?.join("yardstick");
        let folder = paths::checkout().join("e2e/yardstick");
        let build = go::go()?.current_dir(folder).args(["build", "-buildvcs=false", "-trimpath", "-o"]);
        progress.step("building the yardstick", build.arg(&yardstick).arg(".").done()).await?;
        Ok(Self { picker, sim, yardstick })
    }

    /// Starts them; they end when the value is dropped.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn started(&self, progress: &Progress) -> Result<Running> {
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

        let config = config.display().to_string();
        let picker = [
            "--config-file",
            &config,
            "--grpc-port",
            "19002",
            "--grpc-health-port",
            "19003",
            "--metrics-port",
            "19090",
        ];
        let picker = Server::start("Waypost", "127.0.0.1:19002", &self.picker, &picker)?;
        let yardstick = ["-listen", "127.0.0.1:19102"];
        let yardstick = Server::start(YARDSTICK, "127.0.0.1:19102", &self.yardstick, &yardstick)?;
        let ready = until("the picker", PATIENCE, || async {
            Client::new().get("http://127.0.0.1:19090/readyz").await.map(drop)
        });
        progress.step("starting the servers", ready).await?;
        Ok(Running { servers: [yardstick, picker], _sim: sim, _folder: folder })
    }
}

/// The picker and the model servers, built as they are released.
///
/// # Errors
/// When they do not compile.
pub async fn released(progress: &Progress) -> Result<[PathBuf; 2]> {
    let build = cargo(&["build", "--release", "--locked", "-p", "picker", "-p", "sim", "--bins"]);
    progress.step("building the picker as it is released", build.done()).await?;
    let release = paths::checkout().join("target/release");
    Ok([release.join("picker"), release.join("sim")])
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
    /// Starts `program` on the processor of the servers; it ends when the value is dropped.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: &'static str, address: &str, program: &Path, args: &[&str]) -> Result<Self> {
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
        Ok(Self { name, address: address.to_owned(), usage, child })
    }

    /// Whether it is there still.
    ///
    /// # Errors
    /// When it has ended; with how.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} has ended: {status}", self.name),
            None => Ok(()),
        }
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
