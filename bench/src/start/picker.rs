//! One start of a picker, watched from outside and by what it says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::objects::{NAME, NAMESPACE};
use crate::ports::{Ports, address};
use crate::process::{Usage, ending_with_us};
use e2e::Cluster;
use e2e::load::Client;
use e2e::test_env::Metrics;

/// Between two looks at whether it is ready.
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the picker waits for an API server that is away: it has tried several times then.
const AWAY: Duration = Duration::from_secs(5);

/// What it says at each of the stages; the first two come of answers of the API server.
const ROUTING: &str = "a routing serves";
const POOL: &str = "the pool's endpoints";
const LISTED: &str = "the endpoints changed";

/// A picker that can be started.
pub struct Picker<'a> {
    program: &'a Path,
    cluster: &'a Cluster,
    pods: u16,
}

/// How a start went. Times are in seconds from when the process was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// The API server first answered: at the latest when the picker made something of it.
    pub answered: f64,
    /// All pods were known.
    pub listed: f64,
    /// `/readyz` said so.
    pub ready: f64,
    /// Every endpoint had a reading, as far as `/metrics` was looked at.
    pub scraped: f64,
    /// Endpoints that requests could go to at the first look after that.
    pub endpoints: f64,
    /// Those of them that had no reading then.
    pub unknown: f64,
    /// CPU time of the picker until it was ready.
    pub cpu: f64,
}

impl Start {
    /// Seconds from the API server's first answer to being ready.
    pub fn after_answer(&self) -> f64 {
        self.ready - self.answered
    }
}

impl<'a> Picker<'a> {
    /// `program`, with `pods` pods to find in `cluster`.
    pub fn new(program: &'a Path, cluster: &'a Cluster, pods: u16) -> Self {
        Self { program, cluster, pods }
    }

    /// Starts it while the API server answers.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(&self) -> Result<Start> {
        let process = self.process()?;
        process.watched(self.pods).await
    }

    /// Starts it while there is no API server, and starts that some time later.
    ///
    /// # Errors
    /// When one of them does not become ready.
    pub async fn start_first(&self) -> Result<Start> {
        let apiserver = self.cluster.apiserver();
        apiserver.stop(Duration::from_secs(10)).await?;
        let process = self.process();
        sleep(AWAY).await;
        let coming = async {
            apiserver.start_now().await?;
            while apiserver.answers().await.is_err() {
                sleep(LOOK).await;
            }
            Ok::<_, anyhow::Error>(Instant::now())
        };
        let process = process?;
        let began = process.began;
        let (answered, start) = tokio::join!(coming, process.watched(self.pods));
        let answered = (answered? - began).as_secs_f64();
        let start = start?;
        // A picker may be the first that is answered.
        Ok(Start { answered: answered.min(start.answered), ..start })
    }

    fn process(&self) -> Result<Process> {
        let ports = Ports::free()?;
        let mut child = ending_with_us(self.program)?
            .args(["--strategy", &format!("{NAMESPACE}/{NAME}"), "--pool-name", NAME])
            .args(ports.flags())
            // Where it is measured in a pod, that is not the cluster to follow.
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("POD_NAME", "bench-picker")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting the picker")?;
        let began = Instant::now();
        let out = child.stdout.take().context("its output")?;
        let errors = child.stderr.take().context("its output")?;
        let (said, stages) = watch::channel(BTreeMap::new());
        let hear = move |stage: &'static str| {
            said.send_modify(|said| {
                said.entry(stage).or_insert_with(|| began.elapsed());
            });
        };
        let heard = tokio::spawn(async move {
            let mut out = BufReader::new(out).lines();
            let mut errors = BufReader::new(errors).lines();
            loop {
                let line = tokio::select! {
                    Ok(Some(line)) = out.next_line() => line,
                    Ok(Some(line)) = errors.next_line() => line,
                    else => return,
                };
                [ROUTING, POOL, LISTED].into_iter().filter(|stage| line.contains(stage)).for_each(&hear);
            }
        });
        let url = format!("http://{}", address(ports.metrics));
        Ok(Process { child, url, began, stages, heard })
    }
}

/// A picker that was started.
struct Process {
    child: Child,
    url: String,
    began: Instant,
    stages: watch::Receiver<BTreeMap<&'static str, Duration>>,
    heard: tokio::task::JoinHandle<()>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.heard.abort();
    }
}

impl Process {
    async fn watched(mut self, pods: u16) -> Result<Start> {
        let usage = Usage::of(self.child.id().context("a running process has a number")?);
        let client = Client::new();
        let url = self.url.clone();
        let page = async |path: &str| client.get(&format!("{url}/{path}")).await;
        let becomes_ready = async {
            while page("readyz").await.is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("the picker has ended: {status}");
                }
                sleep(LOOK).await;
            }
            Ok((self.began.elapsed(), usage.cpu()?))
        };
        let (ready, cpu) = timeout(PATIENCE, becomes_ready).await.context("the picker is not ready")??;
        let mut first = None;
        let scraped = loop {
            let metrics = Metrics::parse(&page("metrics").await?);
            let endpoints = metrics.value("waypost_picker_endpoints")?;
            let unknown = metrics.value("waypost_picker_scrape_unknown")?;
            first.get_or_insert((endpoints, unknown));
            if endpoints == f64::from(pods) && unknown == 0.0 {
                break self.began.elapsed();
            }
            ensure!(
                self.began.elapsed() < PATIENCE,
                "{unknown} of {endpoints} endpoints could not be read, and there are {pods} pods"
            );
            sleep(LOOK).await;
        };
        let (endpoints, unknown) = first.context("one look at least")?;
        let stages = self.stages.borrow_and_update().clone();
        let stage = |name: &str| {
            let at = stages.get(name).with_context(|| format!("it did not say {name:?}"));
            at.map(Duration::as_secs_f64)
        };
        self.child.kill().await?;
        Ok(Start {
            answered: stage(ROUTING)?.min(stage(POOL)?),
            listed: stage(LISTED)?,
            ready: ready.as_secs_f64(),
            scraped: scraped.as_secs_f64(),
            endpoints,
            unknown,
            cpu: cpu.as_secs_f64(),
        })
    }
}
