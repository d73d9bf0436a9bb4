//! A server under test: pinned to its processor, measured from outside, and stopped while others are measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::net::TcpStream;

use super::client::Client;
use super::ports::{Ports, address, picker_args};
use super::process::{Pinned, Usage};
use super::tls::Identity;
use e2e::test_env::Metrics;
use e2e::{load, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server, running. It ends when the value is dropped.
pub struct Server {
    name: String,
    address: String,
    identity: Option<Identity>,
    metrics: Option<String>,
    process: Pinned,
}

impl Server {
    /// Runs `program` on the servers' processor. It will listen on `address`, and writes to `log`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(name: &str, address: String, program: &Path, args: &[String], log: PathBuf) -> Result<Self> {
        let process = Pinned::start(program, args, log).with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), address, identity: None, metrics: None, process })
    }

    /// Runs a picker so, with the configuration in `config`, and `flags` besides. It writes to a file beside that.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn picker(name: &str, program: &Path, config: &Path, flags: &[String]) -> Result<Self> {
        let ports = Ports::free()?;
        let args = picker_args(config, ports, flags);
        let server = Self::start(name, address(ports.grpc), program, &args, config.with_extension("log"))?;
        Ok(Self { metrics: Some(format!("http://{}", address(ports.metrics))), ..server })
    }

    /// With TLS, if there is an identity that it shows.
    #[must_use]
    pub fn with_identity(self, identity: Option<Identity>) -> Self {
        Self { identity, ..self }
    }

    /// Its name in the table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new connection to it.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.address, self.identity.as_ref()).await
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// When it does not, or ends.
    pub async fn listens(self) -> Result<Self> {
        let address = self.address.clone();
        self.once(async || TcpStream::connect(&address).await.map(drop).context("it does not listen yet"))
            .await
    }

    /// Waits until `/readyz` answers.
    ///
    /// # Errors
    /// When it does not, or ends.
    pub async fn ready(self) -> Result<Self> {
        let metrics = self.metrics.clone();
        self.once(async || page(metrics.as_deref(), "readyz").await.map(drop)).await
    }

    async fn once(mut self, up: impl AsyncFn() -> Result<()>) -> Result<Self> {
        let (process, up) = (&mut self.process, &up);
        until(&self.name, PATIENCE, || {
            let alive = process.alive();
            async move {
                alive?;
                up().await
            }
        })
        .await?;
        Ok(self)
    }

    /// Its metrics.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::parse(&page(self.metrics.as_deref(), "metrics").await?))
    }

    /// What it has used.
    pub fn usage(&self) -> Usage {
        self.process.usage()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn alive(&mut self) -> Result<()> {
        self.process.alive().with_context(|| self.name.clone())
    }
}

/// A page of the server at `metrics`.
async fn page(metrics: Option<&str>, path: &str) -> Result<String> {
    let url = format!("{}/{path}", metrics.context("a server without metrics")?);
    // A new connection each time: the server closes those that are idle, maybe just then.
    load::Client::new().get(&url).await
}

/// While it lives, of all servers only one runs: the others would scrape, and collect garbage, on the same processor.
pub struct Alone<'a>(Vec<&'a Server>);

impl<'a> Alone<'a> {
    /// Stops all of `servers` but `server`.
    ///
    /// # Errors
    /// When one has ended.
    pub fn only(server: &Server, servers: &'a [Server]) -> Result<Self> {
        let mut alone = Self(Vec::new());
        for other in servers.iter().filter(|other| !std::ptr::eq(*other, server)) {
            other.process.signal(Signal::STOP).with_context(|| other.name.clone())?;
            alone.0.push(other);
        }
        Ok(alone)
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        for other in &self.0 {
            // One that has ended is noticed when its turn comes.
            let _ = other.process.signal(Signal::CONT);
        }
    }
}
