//! The operator as a process of this machine, ended after a given request and started anew.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use kube::Client;
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::LimitingProxy;
use crate::shell::last_lines;

/// The environment of operators: their executable, namespace and rights.
#[derive(Clone)]
pub struct OperatorEnv {
    /// The program.
    pub program: PathBuf,
    /// The one namespace that they watch.
    pub namespace: String,
    /// The rights that they have.
    pub client: Client,
    /// A folder for what they read and say.
    pub folder: PathBuf,
}

/// An operator that is killed after a given number of requests, and another that takes its place then and stays.
#[derive(Debug)]
pub struct Operator {
    end: oneshot::Sender<()>,
    life: JoinHandle<Result<Run>>,
}

/// How an operator's run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whether the first was ended; else there was no second.
    pub killed: bool,
    /// Requests of the first.
    pub asked: u32,
}

impl Operator {
    /// Starts the first in `env`, to end after `limit` requests.
    pub fn start(env: OperatorEnv, limit: u32) -> Self {
        let (end, ended) = oneshot::channel();
        let life = async move {
            let mut ended = ended;
            let first = Running::start(&env, limit).await?;
            if let Some(run) = first.watched(&mut ended).await? {
                return Ok(run);
            }
            let second = Running::start(&env, u32::MAX).await?;
            second.watched(&mut ended).await?.context("a proxy without limit has closed")?;
            Ok(Run { killed: true, asked: limit })
        };
        Self { end, life: tokio::spawn(life) }
    }

    /// Ends whichever runs.
    ///
    /// # Errors
    /// When one could not be started, or ended by itself: with the end of its log.
    pub async fn stop(self) -> Result<Run> {
        let Self { end, mut life } = self;
        drop(end);
        let abort = AbortOnDrop(life.abort_handle());
        let run = (&mut life).await.context("the operator's task")?;
        drop(abort);
        run
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Running {
    child: Child,
    proxy: LimitingProxy,
    log: PathBuf,
}

impl Running {
    async fn start(env: &OperatorEnv, limit: u32) -> Result<Self> {
        let proxy = LimitingProxy::start(env.client.clone(), limit).await?;
        let file = |kind: &str| env.folder.join(format!("operator-{}.{kind}", env.namespace));
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": proxy.url()}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        });
        std::fs::write(file("kubeconfig"), kubeconfig.to_string()).context("writing a kubeconfig")?;
        let log = file("log");
        let said = std::fs::File::create(&log).with_context(|| format!("writing {}", log.display()))?;
        let child = Command::new(&env.program)
            .args(["--leader-elect=false", "--listen=127.0.0.1:0", "--picker-image=none"])
            // A story for each request: there is no time to lose.
            .args(["--release-hold=1", "--bind-margin=0"])
            .args(["--identity=crash", "--watch-namespace", &env.namespace])
            .env("KUBECONFIG", file("kubeconfig"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", env.program.display()))?;
        Ok(Self { child, proxy, log })
    }

    /// Waits for the end that was asked for, and gives back how it went; `None` when the proxy closed before.
    async fn watched(mut self, ended: &mut oneshot::Receiver<()>) -> Result<Option<Run>> {
        let closed = tokio::select! {
            () = self.proxy.closed() => true,
            _ = ended => false,
            status = self.child.wait() => {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the operator ended by itself, {}:\n{}", status?, last_lines(&log, 20));
            }
        };
        self.child.kill().await.context("ending the operator")?;
        Ok((!closed).then(|| Run { killed: false, asked: self.proxy.asked() }))
    }
}
