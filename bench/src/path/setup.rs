//! The setups under comparison: each a chain of programs from the client to a model server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use http::Request;
use serde_json::Value;

use super::backend::Backends;
use super::envoy::{self, Mode};
use crate::config;
use crate::peers::{Given, Router, SGLANG, VLLM};
use crate::ports::{Ports, address, free, picker_args};
use crate::process::Pinned;
use crate::programs::{self, Programs};
use crate::workload::{self, Row};
use e2e::load::Client;
use e2e::{Progress, paths, tools, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// A chain of programs from the client to a model server.
#[derive(Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum Setup {
    /// Envoy alone, to each model server in turn
    Alone,
    /// Envoy and a server in Go that decides nothing
    Yardstick,
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

impl Setup {
    /// In the order of the table.
    pub const ALL: [Self; 6] =
        [Self::Alone, Self::Yardstick, Self::Waypost, Self::Headers, Self::Sglang, Self::Vllm];

    /// Its name in the table.
    pub fn name(&self) -> &str {
        match self {
            Self::Alone => "Envoy alone, round robin",
            Self::Yardstick => "Envoy + Go echo that decides nothing",
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
    pub async fn start(&self, executables: &Executables, backends: &Backends) -> Result<Running> {
        let folder = tempfile::tempdir()?;
        let text = match self {
            Self::Headers => config::BY_LOAD.to_owned(),
            _ => config::whole(config::QUEUE),
        };
        let config = config::laid(folder.path(), &text, backends.addresses())?;

        let ports = Ports::free()?;
        // A router tells its metrics on the second.
        let [front, metrics] = free()?;
        let start = |name: &str, program: &PathBuf, args: Vec<String>| {
            Pinned::start(program, args, folder.path().join(name).with_extension("log"))
        };
        let picker = match self {
            Self::Alone | Self::Sglang | Self::Vllm => None,
            Self::Yardstick => {
                let endpoint = backends.addresses()[0].to_string();
                let listen = address(ports.grpc);
                let args = ["-listen".to_owned(), listen, "-endpoint".to_owned(), endpoint];
                Some(start("picker", &executables.yardstick, args.into())?)
            }
            Self::Waypost | Self::Headers => {
                Some(start("picker", &executables.ours.picker, picker_args(&config, ports, &[]))?)
            }
            Self::Given(given) => {
                Some(start("picker", &given.program, picker_args(&config, ports, &given.flags))?)
            }
        };
        let proxy = if let Some(router) = self.router() {
            let workers: Vec<String> =
                backends.addresses().iter().map(|server| format!("http://{server}")).collect();
            let python = executables.python(router)?;
            start("proxy", python, router.args(front, metrics, &workers))?
        } else {
            let mode = if *self == Self::Headers { Mode::Headers } else { Mode::Whole };
            let config = match &picker {
                Some(_) => envoy::with_picker(front, ports.grpc, mode),
                None => envoy::alone(front, backends.addresses()),
            };
            start("proxy", &executables.envoy, envoy_args(&config, folder.path())?)?
        };
        let mut running = Running { proxy, picker, address: address(front), _folder: folder };
        running.ready(self.name()).await?;
        Ok(running)
    }
}

fn envoy_args(config: &Value, folder: &Path) -> Result<Vec<String>> {
    let file = folder.join("envoy.json");
    std::fs::write(&file, config.to_string())?;
    let file = file.display().to_string();
    let args = ["-c", &file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
    Ok(args.map(str::to_owned).into())
}

/// Paths of the programs that the setups run.
#[derive(Debug)]
pub struct Executables {
    ours: Programs,
    yardstick: PathBuf,
    envoy: PathBuf,
    pythons: Vec<(&'static str, PathBuf)>,
}

impl Executables {
    /// Builds and fetches what is missing.
    ///
    /// # Errors
    /// When something can't be had.
    pub async fn ready(setups: &[Setup], progress: &Progress) -> Result<Self> {
        let (ours, yardstick) = (Programs::built(progress).await?, programs::yardstick(progress).await?);
        let cache = paths::cache()?;
        let _alone = tools::exclusive("tools.lock", progress).await?;
        let envoy = tools::envoy::ready(&cache, progress).await?;
        let mut pythons = Vec::new();
        for router in setups.iter().filter_map(Setup::router) {
            let python = tools::python::installed(&cache, &router.package, progress).await?;
            pythons.push((router.name, python));
        }
        Ok(Self { ours, yardstick, envoy, pythons })
    }

    /// Simulated model servers.
    pub fn sim(&self) -> &Path {
        &self.ours.sim
    }

    fn python(&self, router: &Router) -> Result<&PathBuf> {
        let found = self.pythons.iter().find(|(name, _)| *name == router.name);
        found.map(|(_, python)| python).context("it was not installed")
    }
}

/// A setup whose programs run.
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

    /// The end of the output of proxy and picker, for an error.
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
        self.proxy.alive()?;
        self.picker.as_mut().map_or(Ok(()), Pinned::alive)
    }
}
