//! The ways from the client to a model server.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use http::Request;
use serde_json::Value;

use super::backend::Backends;
use super::envoy::{self, Mode};
use crate::bench::arms::{Arms, CONFIG, Ports, picker_args};
use crate::bench::peers::{Given, Router, SGLANG, VLLM};
use crate::bench::process::Pinned;
use crate::bench::workload::{self, Row};
use crate::load::Client;
use crate::{Progress, paths, tools, until};

/// Where the client's requests go: to Envoy, or to a router. A router tells its metrics on the next port.
const FRONT: u16 = 18_120;
const PICKER: Ports = Ports { grpc: 18_130, health: 18_131, metrics: 18_132 };
const PATIENCE: Duration = Duration::from_secs(60);

/// What a picker does that sees no body.
const HEADERS_ONLY: &str = "\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: file-discovery, parameters: {path: ENDPOINTS}}
- type: queue-scorer
- type: kv-cache-utilization-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
dataLayer: {discovery: {pluginRef: file-discovery}}
";

/// A way.
#[derive(Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Envoy alone, to each model server in turn
    Alone,
    /// Envoy and a server in Go that decides nothing
    Echo,
    /// Envoy and Waypost, three scorers, bodies in full duplex
    Waypost,
    /// Envoy and Waypost, two scorers that need no body, and headers alone
    Headers,
    /// SGLang's router, without Envoy
    Sglang,
    /// vLLM's router, without Envoy
    Vllm,
    /// Envoy and a picker that was given.
    #[value(skip)]
    Given(Given),
}

impl Way {
    /// In the order of the table.
    pub const ALL: [Self; 6] =
        [Self::Alone, Self::Echo, Self::Waypost, Self::Headers, Self::Sglang, Self::Vllm];

    /// What it is called in the table.
    pub fn name(&self) -> &str {
        match self {
            Self::Alone => "Envoy alone, round robin",
            Self::Echo => "Envoy + Go echo that decides nothing",
            Self::Waypost => "Envoy + Waypost",
            Self::Headers => "Envoy + Waypost, headers only",
            Self::Sglang => SGLANG.name,
            Self::Vllm => VLLM.name,
            Self::Given(given) => &given.name,
        }
    }

    fn router(&self) -> Option<&'static Router> {
        match self {
            Self::Sglang => Some(&SGLANG),
            Self::Vllm => Some(&VLLM),
            _ => None,
        }
    }

    /// Starts its programs; they end when the value is dropped.
    ///
    /// # Errors
    /// When a request is not answered in time.
    pub async fn started(&self, programs: &Programs, backends: &Backends) -> Result<Running> {
        let folder = tempfile::tempdir()?;
        let endpoints = folder.path().join("endpoints.yaml");
        std::fs::write(&endpoints, endpoints_file(backends))?;
        let config = folder.path().join("config.yaml");
        let text = if *self == Self::Headers { HEADERS_ONLY } else { CONFIG };
        std::fs::write(&config, text.replace("ENDPOINTS", &endpoints.display().to_string()))?;

        let start = |name, program, args: Vec<String>| Pinned::start(name, program, args, folder.path());
        let picker = match self {
            Self::Alone | Self::Sglang | Self::Vllm => None,
            Self::Echo => {
                let endpoint = backends.addresses()[0].to_string();
                let listen = format!("127.0.0.1:{}", PICKER.grpc);
                let args = ["-listen".to_owned(), listen, "-endpoint".to_owned(), endpoint];
                Some(start("picker", &programs.yardstick, args.into())?)
            }
            Self::Waypost | Self::Headers => {
                Some(start("picker", &programs.picker, picker_args(&config, PICKER))?)
            }
            Self::Given(given) => Some(start("picker", &given.program, given.args(&config, PICKER))?),
        };
        let proxy = if let Some(router) = self.router() {
            let workers: Vec<String> =
                backends.addresses().iter().map(|server| format!("http://{server}")).collect();
            let python = programs.python(router)?;
            start("proxy", python, router.args(FRONT, &workers))?
        } else {
            let mode = if *self == Self::Headers { Mode::Headers } else { Mode::Whole };
            let config = match &picker {
                Some(_) => envoy::with_picker(FRONT, PICKER.grpc, mode),
                None => envoy::alone(FRONT, backends.addresses()),
            };
            start("proxy", &programs.envoy, envoy_args(&config, folder.path())?)?
        };
        let mut running = Running { proxy, picker, address: format!("127.0.0.1:{FRONT}"), _folder: folder };
        running.ready(self.name()).await?;
        Ok(running)
    }
}

fn envoy_args(config: &Value, folder: &std::path::Path) -> Result<Vec<String>> {
    let file = folder.join("envoy.json");
    std::fs::write(&file, config.to_string())?;
    let file = file.display().to_string();
    let args = ["-c", &file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
    Ok(args.map(str::to_owned).into())
}

fn endpoints_file(backends: &Backends) -> String {
    let one = |(number, server): (usize, &std::net::SocketAddr)| {
        let (ip, port) = (server.ip(), server.port());
        format!("- {{name: server-{number}, namespace: default, address: \"{ip}\", port: \"{port}\"}}\n")
    };
    let all = backends.addresses().iter().enumerate().map(one);
    std::iter::once("endpoints:\n".to_owned()).chain(all).collect()
}

/// What the ways are made of.
#[derive(Debug)]
pub struct Programs {
    picker: PathBuf,
    yardstick: PathBuf,
    envoy: PathBuf,
    pythons: Vec<(&'static str, PathBuf)>,
}

impl Programs {
    /// Fetches what is missing.
    ///
    /// # Errors
    /// When something can't be had.
    pub async fn ready(arms: &Arms, ways: &[Way], progress: &Progress) -> Result<Self> {
        let cache = paths::cache()?;
        let _alone = tools::exclusive("tools.lock", progress).await?;
        let envoy = tools::envoy::ready(&cache, progress).await?;
        let mut pythons = Vec::new();
        for router in ways.iter().filter_map(Way::router) {
            let python = tools::python::installed(&cache, &router.package, progress).await?;
            pythons.push((router.name, python));
        }
        Ok(Self { picker: arms.picker.clone(), yardstick: arms.yardstick.clone(), envoy, pythons })
    }

    fn python(&self, router: &Router) -> Result<&std::path::Path> {
        let found = self.pythons.iter().find(|(name, _)| *name == router.name);
        found.map(|(_, python)| python.as_path()).context("it was not installed")
    }
}

/// A way whose programs run.
#[derive(Debug)]
pub struct Running {
    proxy: Pinned,
    picker: Option<Pinned>,
    address: String,
    _folder: tempfile::TempDir,
}

/// CPU time since the start.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// Of Envoy or a router.
    pub proxy: Duration,
    /// Of the picker.
    pub picker: Duration,
}

impl Running {
    /// Where requests are taken.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What proxy and picker have used.
    ///
    /// # Errors
    /// When one has ended.
    pub fn used(&self) -> Result<Used> {
        let picker = self.picker.as_ref().map(|picker| picker.usage().cpu_of_all()).transpose()?;
        Ok(Used { proxy: self.proxy.usage().cpu_of_all()?, picker: picker.unwrap_or_default() })
    }

    /// What proxy and picker said last, for an error.
    pub fn said(&self) -> String {
        let picker = self.picker.as_ref().map(Pinned::said).unwrap_or_default();
        format!("the proxy said:\n{}\nthe picker said:\n{picker}\n", self.proxy.said())
    }

    async fn ready(&mut self, name: &str) -> Result<()> {
        let bodies = workload::bodies(Row::Short);
        let url = format!("http://{}/v1/chat/completions", self.address);
        let client = Client::new();
        let answered = until(name, PATIENCE, || async {
            let body = bodies[0].clone().into();
            let request = Request::post(&url).header("content-type", "application/json").body(body)?;
            let status = client.send(request).await?.status();
            ensure!(status.is_success(), "{status}");
            Ok(())
        });
        answered.await.with_context(|| self.said())?;
        self.proxy.check()?;
        self.picker.as_mut().map_or(Ok(()), Pinned::check)
    }
}
