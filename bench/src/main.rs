//! `cargo xtask bench`: what the picker costs, against servers that do less or the same, in one run.
//!
//! The primary figure is CPU time of the server's process for each request, because it depends neither on how many
//! requests the client can send nor on how fast the machine happens to be that minute when it is given as a ratio.

mod bar;
mod client;
mod config;
mod corked_io;
mod exchange;
mod exchanges;
mod idle;
mod index;
mod instructions;
mod latencies;
mod load;
mod markdown;
mod options;
mod pace;
mod pages;
mod path;
mod peers;
mod plugins;
mod ports;
mod process;
mod processors;
mod programs;
mod report;
mod server;
mod start;
mod streams;
mod swap;
mod test_bed;
mod tls;
mod workload;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use e2e::{Progress, tools};
use exchanges::Exchanges;
use idle::Idle;
use index::Index;
use path::Path;
use plugins::Plugins;
use start::Starts;
use streams::Streams;
use swap::Swap;

/// Measures what the picker costs, against servers that do less or the same
#[derive(Parser, Clone, Debug)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    exchanges: Exchanges,
}

/// A measurement: `exchanges`, if none is named.
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
    /// What each filter, scorer and picker takes of a decision, and a strategy of many of them
    Plugins(Plugins),
}

impl Bench {
    /// Measures, and prints a table.
    ///
    /// # Errors
    /// When a server can't be built or started, or something does not go as it must.
    async fn run(self, progress: &Progress) -> Result<()> {
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
            What::Plugins(plugins) => plugins.run(progress).await,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = Bench::parse().run(&Progress::stdout()).await;
    // The chain of causes, without the backtrace that a machine's RUST_BACKTRACE would add.
    if let Err(error) = &done {
        eprintln!("error: {error:#}");
    }
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
