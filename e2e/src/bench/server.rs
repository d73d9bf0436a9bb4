//! A server under test: pinned to its processor, measured from outside, and stopped while others are measured.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::SERVERS;
use super::client::Client;
use super::process::Usage;
use super::tls::Identity;
use crate::shell::last_lines;
use crate::tools::locate;

/// Lines of what a server wrote that are shown when it fails.
const SHOWN: usize = 20;

/// A server, running. It ends when the value is dropped.
pub struct Server {
    name: &'static str,
    address: String,
    identity: Option<Identity>,
    metrics: Option<String>,
    usage: Usage,
    log: PathBuf,
    child: Child,
}

impl Server {
    /// Runs `command` on the servers' processor. It will listen on `address`, and writes to `log`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(
        name: &'static str,
        address: String,
        identity: Option<Identity>,
        log: PathBuf,
        command: &Command,
    ) -> Result<Self> {
        let command = command.as_std();
        let output = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let child = Command::new(locate::program("taskset")?)
            .args(["-c", &SERVERS.to_string()])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        // taskset becomes the program.
        let usage = Usage::of(child.id().context("a running process has a number")?);
        Ok(Self { name, address, identity, metrics: None, usage, log, child })
    }

    /// With the URL of its metrics.
    #[must_use]
    pub fn with_metrics(self, url: String) -> Self {
        Self { metrics: Some(url), ..self }
    }

    /// What it is called in the table.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A new connection to it.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.address, self.identity.as_ref()).await
    }

    /// The value of a metric without labels.
    ///
    /// # Errors
    /// When it has none, or has not this one.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let url = self.metrics.as_ref().context("a server without metrics")?;
        let page = crate::load::Client::new().get(url).await?;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {name} at {url}"))?.trim().parse()?)
    }

    /// What it has used.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("it has ended: {status}:\n{}", self.said()),
        }
    }

    /// The last that it wrote.
    pub fn said(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&said), SHOWN)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid =
            i32::try_from(self.usage.pid()).ok().and_then(Pid::from_raw).context("no process number")?;
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))
    }
}

/// While it lives, of all `servers` only the one at `at` runs: the others would scrape, and collect garbage, on the
/// same processor.
pub struct Alone<'a>(Vec<&'a Server>);

impl<'a> Alone<'a> {
    /// Stops the others.
    ///
    /// # Errors
    /// When one has ended.
    pub fn only(server: &Server, servers: &'a [Server]) -> Result<Self> {
        let mut alone = Self(Vec::new());
        for other in servers.iter().filter(|other| !std::ptr::eq(*other, server)) {
            other.signal(Signal::STOP)?;
            alone.0.push(other);
        }
        Ok(alone)
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        for other in &self.0 {
            // One that has ended is noticed when its turn comes.
            let _ = other.signal(Signal::CONT);
        }
    }
}
