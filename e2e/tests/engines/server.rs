//! A vLLM server: a process group of its own, which ends with the value.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Client;
use e2e::test_env::Metrics;
use e2e::tools::vllm::Vllm;
use e2e::{paths, until};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// A server on the loopback address.
#[derive(Debug)]
pub struct Server {
    pub port: u16,
    child: Child,
    group: Pid,
}

impl Server {
    /// Starts one. What it says is kept in the cache, in `vllm-PORT.log`.
    pub fn start(vllm: &Vllm, port: u16) -> Result<Self> {
        let log = File::create(paths::cache()?.join(format!("vllm-{port}.log")))?;
        let mut command = vllm.serve(port);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
        let child = command.spawn().context("starting vLLM")?;
        let group =
            child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).context("a process has an id")?;
        Ok(Self { port, child, group })
    }

    /// Its address, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until it takes requests.
    pub async fn healthy(&self, client: &Client, within: Duration) -> Result<()> {
        let health = format!("{}/health", self.url());
        until("vLLM to be healthy", within, || async { client.get(&health).await.map(drop) }).await
    }

    /// What it counts.
    pub async fn metrics(&self, client: &Client) -> Result<Metrics> {
        Ok(Metrics::parse(&client.get(&format!("{}/metrics", self.url())).await?))
    }

    /// How many requests it has served to their end.
    pub async fn served(&self, client: &Client) -> Result<f64> {
        Ok(self.metrics(client).await?.sum("vllm:request_success_total", &[]))
    }

    /// Ends it and its workers at once, as a lost node would.
    pub async fn kill(&mut self) -> Result<()> {
        kill_process_group(self.group, Signal::KILL).context("killing vLLM")?;
        let status = self.child.wait().await?;
        ensure!(!status.success(), "it had ended before");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}
