//! What a measurement stands on: the programs as they are released, and model servers for the pickers.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::away_from_the_servers;
use super::server::Server;
use super::tls::{CERTIFICATE, Identity, KEY};
use crate::load::Client;
use crate::tools::{cargo, go};
use crate::{Progress, paths, until};

/// Model servers, on consecutive ports from this one on.
const REPLICAS: usize = 8;
const PORT: u16 = 18_000;
/// Bytes of the metrics page of each.
const METRICS: usize = 40_000;
const PATIENCE: Duration = Duration::from_secs(30);
/// What stands in a configuration for the file of the model servers.
const ENDPOINTS: &str = "ENDPOINTS";
/// The server that the others are held against.
pub const YARDSTICK: &str = "Go echo that decides nothing";

/// Programs, model servers, and a folder for files.
pub struct Ground {
    picker: PathBuf,
    yardstick: PathBuf,
    folder: tempfile::TempDir,
    identity: Option<Identity>,
    _sim: Child,
}

impl Ground {
    /// Builds the programs and starts the model servers; they end when the value is dropped. The servers under test
    /// speak TLS if `tls`.
    ///
    /// # Errors
    /// When a compiler is missing or fails, or the model servers do not come up.
    pub async fn laid(tls: bool, progress: &Progress) -> Result<Self> {
        let build = cargo(&["build", "--release", "--locked", "-p", "picker", "-p", "sim", "--bins"]);
        progress.step("building the picker as it is released", build.done()).await?;
        let yardstick = paths::cache()?.join("yardstick");
        let sources = paths::checkout().join("e2e/yardstick");
        let build = go::go()?.current_dir(sources).args(["build", "-buildvcs=false", "-trimpath", "-o"]);
        progress.step("building the yardstick", build.arg(&yardstick).arg(".").done()).await?;
        let release = paths::checkout().join("target/release");

        away_from_the_servers()?;
        let folder = tempfile::tempdir()?;
        let identity = tls.then(|| Identity::made(folder.path())).transpose()?;
        let sim = model_servers(&release.join("sim"), &folder.path().join(ENDPOINTS)).await?;
        Ok(Self { picker: release.join("picker"), yardstick, folder, identity, _sim: sim })
    }

    /// Starts a picker with this configuration. There is one of each name.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn picker(&self, name: &'static str, config: &str) -> Result<Server> {
        let file = self.configure(name, config)?;
        let [grpc, health, metrics] = ports()?;
        let mut command = Command::new(&self.picker);
        command.arg("--config-file").arg(file);
        for (flag, port) in
            [("--grpc-port", grpc), ("--grpc-health-port", health), ("--metrics-port", metrics)]
        {
            command.arg(flag).arg(port.to_string());
        }
        if self.identity.is_some() {
            command.arg("--cert-path").arg(self.folder.path());
        }
        let log = self.folder.path().join(format!("{name}.log"));
        let mut server = Server::start(name, address(grpc), self.identity.clone(), log, &command)?;
        let url = format!("http://{}", address(metrics));
        until(name, PATIENCE, || {
            let (alive, ready) = (server.alive(), format!("{url}/readyz"));
            async move {
                alive?;
                Client::new().get(&ready).await.map(drop)
            }
        })
        .await?;
        Ok(server.with_metrics(format!("{url}/metrics")))
    }

    /// Gives the picker of this name another configuration, all of it at once.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn configure(&self, name: &str, config: &str) -> Result<PathBuf> {
        let file = self.folder.path().join(format!("{name}.yaml"));
        let half = file.with_extension("partial");
        let endpoints = self.folder.path().join(ENDPOINTS);
        std::fs::write(&half, config.replace(ENDPOINTS, &endpoints.display().to_string()))?;
        std::fs::rename(&half, &file).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    /// Starts the yardstick.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn yardstick(&self) -> Result<Server> {
        let [port] = ports()?;
        let mut command = Command::new(&self.yardstick);
        command.arg("-listen").arg(address(port));
        if self.identity.is_some() {
            let file = |name| self.folder.path().join(name);
            command.arg("-cert").arg(file(CERTIFICATE)).arg("-key").arg(file(KEY));
        }
        let log = self.folder.path().join("yardstick.log");
        let mut server = Server::start(YARDSTICK, address(port), self.identity.clone(), log, &command)?;
        until(YARDSTICK, PATIENCE, || {
            let alive = server.alive();
            async move {
                alive?;
                TcpStream::connect(address(port)).await.map(drop).context("it does not listen yet")
            }
        })
        .await?;
        Ok(server)
    }
}

async fn model_servers(program: &Path, endpoints: &Path) -> Result<Child> {
    let mut sim = Command::new(program)
        .args(["serve", "--bind", "127.0.0.1", "--port", &PORT.to_string()])
        .args(["--replicas", &REPLICAS.to_string(), "--metrics-padding", &METRICS.to_string()])
        .arg("--write-endpoints")
        .arg(endpoints)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting the model servers")?;
    until("the model servers", PATIENCE, || {
        let ended = sim.try_wait();
        async move {
            let ended = ended?;
            ensure!(ended.is_none(), "they ended ({ended:?}): is another one on port {PORT} and the next?");
            ensure!(endpoints.exists(), "they have not said where they are");
            Client::new().get(&format!("http://127.0.0.1:{PORT}/health")).await.map(drop)
        }
    })
    .await?;
    Ok(sim)
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Ports that nothing listens on.
fn ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    // All are held until the last is found, so that they differ.
    let mut held = Vec::with_capacity(COUNT);
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").context("looking for a port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
