//! `cargo xtask bench path`: what a request costs from the client's connection to the model server's, proxy and picker
//! together, and what routers cost that are both in one.

mod backend;
mod envoy;
mod report;
mod setup;
mod wrk;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::options::write_json;
use super::peers::{Given, distinct};
use super::processors::away_from_the_servers;
use backend::Backends;
use e2e::Progress;
use report::{Report, Sample};
use setup::{Executables, Setup};
use wrk::Wrk;

/// Options: which setups to measure, and how often.
#[derive(Args, Clone, Debug)]
pub struct Path {
    /// Measure these alone
    #[arg(long, value_enum, num_args = 1..)]
    ways: Vec<Setup>,
    /// Repeats; the order of the ways rotates with each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeats: u16,
    /// Seconds of load on each setup in each repeat
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Another picker to measure behind Envoy, which you have built: it is run with the configuration and the flags of
    /// this one, and with those that follow here. May be repeated
    #[arg(long = "peer", value_name = "NAME=PROGRAM FLAG…")]
    peers: Vec<Given>,
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

impl Path {
    /// Measures, and prints a table and what it shows.
    ///
    /// # Errors
    /// When a program can't be had or started, or a request is not answered as it must be.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        distinct(&self.peers)?;
        let setups = if self.ways.is_empty() { Setup::ALL.to_vec() } else { self.ways.clone() };
        let given = self.peers.iter().cloned().map(|mut given| {
            given.name.insert_str(0, "Envoy + ");
            Setup::Given(given)
        });
        let setups: Vec<Setup> = setups.into_iter().chain(given).collect();
        let executables = Executables::ready(&setups, progress).await?;
        let wrk = Wrk::ready(self.connections, progress).await?;
        away_from_the_servers()?;
        let backends = Backends::started(executables.sim()).await?;

        let mut report = Report::default();
        for repeat in 0..usize::from(self.repeats) {
            for at in 0..setups.len() {
                let setup = &setups[(at + repeat) % setups.len()];
                let label = format!("repeat {}, {}", repeat + 1, setup.name());
                let measured = self.measured(setup, &executables, &backends, &wrk);
                report.add(setup.name(), progress.step(label, measured).await?);
            }
        }
        println!("\n{report}");
        write_json(self.json.as_deref(), &report.json())
    }

    async fn measured(
        &self,
        setup: &Setup,
        executables: &Executables,
        backends: &Backends,
        wrk: &Wrk,
    ) -> Result<Sample> {
        let running = setup.start(executables, backends).await?;
        wrk.run(running.address(), Duration::from_secs(1)).await.with_context(|| running.said())?;
        let (before, served) = (running.used()?, backends.served());
        let load = wrk.run(running.address(), Duration::from_secs(self.seconds.into())).await;
        let (load, after) = (load.with_context(|| running.said())?, running.used()?);
        let served = backends.served() - served;
        ensure!(served >= load.requests, "{} answers, and {served} requests reached a server", load.requests);
        let share =
            |before: Duration, after: Duration| (after - before).as_secs_f64() * 1e6 / load.requests as f64;
        Ok(Sample {
            proxy: share(before.proxy, after.proxy),
            picker: share(before.picker, after.picker),
            rate: load.requests as f64 / load.took.as_secs_f64(),
            p50: load.p50,
            p99: load.p99,
        })
    }
}
