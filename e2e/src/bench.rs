//! `cargo xtask bench`: what the picker costs, against servers that do less or the same, in one run.
//!
//! The primary figure is CPU time of the server's process for each request, because it depends neither on how many
//! requests the client can send nor on how fast the machine happens to be that minute when it is given as a ratio.

mod bar;
mod client;
mod config;
mod exchange;
mod exchanges;
mod ground;
mod idle;
mod index;
mod instructions;
mod latencies;
mod load;
mod markdown;
mod pages;
mod path;
mod peers;
mod ports;
mod process;
mod programs;
mod report;
mod server;
mod start;
mod streams;
mod swap;
mod tls;
mod turns;
mod workload;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{Progress, tools};
use exchanges::Exchanges;
use idle::Idle;
use index::Index;
use path::Path;
use start::Starts;
use streams::Streams;
use swap::Swap;

/// The processor of the servers under test. The client and the model servers have the others.
const SERVERS: usize = 0;

/// What to measure: `exchanges`, if nothing is said.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    exchanges: Exchanges,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Whole exchanges over ext_proc, against a server that decides nothing
    Exchanges(Exchanges),
    /// Thousands of streamed answers at once, on one connection: none is lost, in how much memory
    Streams(Streams),
    /// Swaps of the strategy under load: whether they show in how long decisions take
    Swap(Swap),
    /// Proxy and picker together, and routers that are both
    Path(Path),
    /// A picker that nobody asks anything, while it scrapes many endpoints
    Idle(Idle),
    /// From the start of a picker to its being ready, with many pods in a real API server
    Start(Starts),
    /// Memory of a full prefix index, whether it grows, and lookups beside a writer
    Index(Index),
}

impl Bench {
    /// Measures, and prints a table.
    ///
    /// # Errors
    /// When a server can't be built or started, or something does not go as it must.
    pub async fn run(self, progress: &Progress) -> Result<()> {
        // Two measurements would each be the other's noise.
        let _alone = tools::exclusive("bench.lock", progress).await?;
        match self.what.unwrap_or(What::Exchanges(self.exchanges)) {
            What::Exchanges(exchanges) => exchanges.run(progress).await,
            What::Streams(streams) => streams.run(progress).await,
            What::Swap(swap) => swap.run(progress).await,
            What::Path(path) => path.run(progress).await,
            What::Idle(idle) => idle.run(progress).await,
            What::Start(starts) => starts.run(progress).await,
            What::Index(index) => index.run(progress).await,
        }
    }
}

/// Reads a number from `least` to `most` from the command line.
fn between(least: f64, most: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| {
        let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(format!("not between {least} and {most}"))
        }
    }
}

/// Writes figures to `file`, if there is one.
fn write_json(file: Option<&std::path::Path>, figures: &serde_json::Value) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_vec_pretty(figures)?;
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// Keeps this process off the processor of the servers.
fn away_from_the_servers() -> Result<()> {
    let mut set = CpuSet::new();
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for cpu in (0..all).filter(|cpu| *cpu != SERVERS || all == 1) {
        set.set(cpu);
    }
    for task in std::fs::read_dir("/proc/self/task")? {
        let task: i32 = task?.file_name().to_string_lossy().parse()?;
        sched_setaffinity(rustix::thread::Pid::from_raw(task), &set).context("choosing processors")?;
    }
    Ok(())
}
