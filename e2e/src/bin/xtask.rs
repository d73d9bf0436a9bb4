//! `cargo xtask`: commands for the test cluster, the images, the demo, the bench and the tests.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use e2e::cluster::Family;
use e2e::demo::Demo;
use e2e::images::Program;
use e2e::suite::Suite;
use e2e::{Cluster, Progress, paths, tools};

/// A real Kubernetes cluster on this machine, and what is tried on it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings the cluster up (or finds it up), and says how to use it
    Up {
        /// With addresses of IPv6 alone
        #[arg(long)]
        ipv6: bool,
    },
    /// Takes the cluster down, and every trace of it
    Down,
    /// Builds the images whose sources changed, and brings them into the cluster if it is up
    Images {
        /// These alone
        #[arg(value_enum, default_values_t = [Program::Operator, Program::Picker, Program::Sim])]
        programs: Vec<Program>,
    },
    /// Runs the whole product, to watch: a pool behind a real Envoy, and a strategy edited under load
    Demo(Demo),
    /// Measures what the picker costs, against servers that do less or the same
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Checks everything: lints, tests, fuzzing for a bounded time, and the stories on a real cluster
    Test(Suite),
}

#[tokio::main]
async fn main() -> ExitCode {
    let progress = Progress::stdout();
    let done = match Args::parse().command {
        Command::Up { ipv6 } => up(ipv6, &progress).await,
        Command::Down => Cluster::down(&progress).await,
        Command::Images { programs } => images(&programs, &progress).await,
        Command::Demo(demo) => demo.run(&progress).await,
        Command::Bench { args } => bench(&args),
        Command::Test(suite) => test(&suite, &progress).await,
    };
    // The chain of causes, without the backtrace that a machine's RUST_BACKTRACE would add.
    if let Err(error) = &done {
        eprintln!("error: {error:#}");
    }
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn up(ipv6: bool, progress: &Progress) -> Result<()> {
    let cluster = Cluster::up(Family::of(ipv6), progress).await?;
    let clients = tools::Clients::ready(progress).await?;
    println!("\nThe cluster is up. To use it:\n");
    println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("  {} get pods -A", clients.kubectl.display());
    println!("\n`cargo xtask down` removes every trace of it.");
    Ok(())
}

async fn images(programs: &[Program], progress: &Progress) -> Result<()> {
    let tools = tools::Tools::ready(progress).await?;
    let images = Program::built(programs, &tools, progress).await?;
    if Cluster::exists() {
        let store = Cluster::attach().await?.images();
        for image in &images {
            store.import(image).await?;
        }
    }
    for image in images {
        println!("{}", image.reference());
    }
    Ok(())
}

/// Becomes the program of the crate `bench`, which this one does not depend on: only who measures compiles it.
fn bench(args: &[OsString]) -> Result<()> {
    let manifest = paths::checkout().join("Cargo.toml");
    let mut run = std::process::Command::new(tools::cargo::program());
    run.args(["run", "--profile", "e2e", "--locked", "--quiet", "--bin", "bench", "--manifest-path"]);
    Err(run.arg(manifest).arg("--").args(args).exec()).context("starting cargo")
}

async fn test(suite: &Suite, progress: &Progress) -> Result<()> {
    let tally = suite.run(progress).await?;
    println!("\n{tally}");
    if !tally.ok() {
        bail!("not everything holds");
    }
    Ok(())
}
