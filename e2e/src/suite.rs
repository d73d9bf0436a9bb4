//! `cargo xtask test`: all checks and tests, and a table of the measured figures.

mod checks;
mod demo;
mod fuzz;
mod instructions;
mod stories;
mod tally;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::cluster::Family;
use crate::{Cluster, Progress};
pub use tally::Tally;

/// What to check.
#[derive(Args, Clone, Debug, Default)]
pub struct Suite {
    /// Check this part alone
    #[arg(long, value_enum)]
    pub only: Option<Part>,
    /// Leave the cluster up at the end
    #[arg(long)]
    pub keep: bool,
    /// Use the cluster that is up, and leave it up
    #[arg(long)]
    pub reuse: bool,
    /// Give the cluster addresses of IPv6 alone
    #[arg(long)]
    pub ipv6: bool,
    /// Run those tests alone whose names contain one of these
    pub names: Vec<String>,
}

/// A part of the suite, in the order in which they run: what is quick fails first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Formatting, clippy without warnings, generated files without drift
    Lint,
    /// Tests that need no cluster
    Unit,
    /// Instructions of a decision and of its parts, held against those that are recorded
    Gate,
    /// Attacks on a picker, with a client beside them that means well; for a machine with nothing else to do
    Siege,
    /// Fuzz targets, each for a bounded time
    Fuzz,
    /// The stories on a real cluster with real Envoys
    E2e,
    /// The demo, with a cluster of its own
    Demo,
    /// A real vLLM behind a picker and an Envoy on this machine
    Engines,
    /// A real Istio on the cluster, which drives an Envoy as its gateway
    Gateways,
    /// Hundreds and thousands of strategies, whose pickers are faked; for a machine with nothing else to do
    Scale,
}

impl Suite {
    /// Checks it all, goes on after a failure, and prints what was seen.
    ///
    /// # Errors
    /// When the machine can't run a part at all. What failed in a part that ran is in the [`Tally`].
    pub async fn run(&self, progress: &Progress) -> Result<Tally> {
        // Remains of a cluster that died are no obstacle: bringing one up clears them away.
        let on_cluster = self.wants(Part::E2e) || matches!(self.only, Some(Part::Gateways | Part::Scale));
        if on_cluster && !self.reuse && Cluster::exists() && Cluster::attach().await.is_ok() {
            bail!(
                "a cluster is up on this machine already, which holds one: `cargo xtask down` removes it, \
                 or `cargo xtask test --reuse` runs in it and leaves it up"
            );
        }
        let mut tally = Tally::default();
        if self.wants(Part::Lint) {
            checks::lint(progress, &mut tally).await;
        }
        if self.wants(Part::Unit) {
            checks::unit(progress, &self.names, &mut tally).await;
        }
        if self.wants(Part::Gate) {
            instructions::run(progress, &self.names, &mut tally).await?;
        }
        if self.wants(Part::Siege) {
            checks::siege(progress, &self.names, &mut tally).await;
        }
        if self.wants(Part::Fuzz) {
            fuzz::run(progress, &self.names, &mut tally).await?;
        }
        if on_cluster {
            let ran = match self.only {
                // Not among all: the build of its control plane would take longer than any other part.
                Some(Part::Gateways) => stories::gateways(progress, &self.names, &mut tally).await,
                // Not among all: its bounds need a machine with nothing else to do, and its minutes are many.
                Some(Part::Scale) => stories::scale(progress, &self.names, &mut tally).await,
                _ => stories::run(Family::of(self.ipv6), progress, &self.names, &mut tally).await,
            };
            if !self.keep && !self.reuse {
                Cluster::down(progress).await?;
            }
            ran?;
        }
        // One cluster a machine: a kept one leaves no place for the demo's.
        if self.wants(Part::Demo) && !self.keep && !self.reuse {
            demo::run(progress, &mut tally).await;
        }
        // Not among all: its packages and starts would take longer than any other part.
        if self.only == Some(Part::Engines) {
            stories::engines(progress, &self.names, &mut tally).await?;
        }
        Ok(tally)
    }

    /// Names are those of tests: without a part of their own they are looked for in the stories.
    fn wants(&self, part: Part) -> bool {
        match self.only {
            Some(only) => only == part,
            None => self.names.is_empty() || part == Part::E2e,
        }
    }
}
