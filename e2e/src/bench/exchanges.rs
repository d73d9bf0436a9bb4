//! `cargo xtask bench exchanges`: CPU time for each exchange, and how long a decision takes.

use anyhow::{Context, Result};
use clap::Args;

use super::arms::Arms;
use super::idle::Idle;
use super::peers::Given;
use super::report::Report;
use super::workload::{self, Row};
use super::{away_from_the_servers, load};
use crate::Progress;

/// What to measure, and how often.
#[derive(Args, Clone, Debug)]
pub struct Exchanges {
    /// Requests of each row in each repeat
    #[arg(long, default_value_t = 20_000)]
    pub requests: usize,
    /// Repeats; the order of the servers rotates with each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub repeats: u16,
    /// Requests at once, all on one connection
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub at_once: u16,
    /// Measure these rows alone
    #[arg(long, value_enum, num_args = 1..)]
    pub rows: Vec<Row>,
    /// Another picker to measure, which you have built: it is run with the configuration and the flags of this one, and
    /// with those that follow here. May be repeated
    #[arg(long = "peer", value_name = "NAME=PROGRAM FLAG…")]
    pub peers: Vec<Given>,
    /// Seconds to look, before there is any load, at what each server uses while nothing is asked of it; 0 to leave
    /// this out
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub idle: u16,
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<std::path::PathBuf>,
}

impl Exchanges {
    /// Measures, and prints a table.
    ///
    /// # Errors
    /// When a server can't be built or started, or an exchange does not go as it must.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        let arms = Arms::built(progress).await?;
        away_from_the_servers()?;
        let arms = arms.started(&self.peers, progress).await?;
        let idle = Idle::seen(&arms, self.idle, progress).await?;
        let rows = if self.rows.is_empty() { Row::ALL.to_vec() } else { self.rows.clone() };
        let mut report = Report::default();
        for repeat in 0..usize::from(self.repeats) {
            for row in &rows {
                let exchanges = workload::exchanges(*row);
                for server in arms.in_turn(repeat) {
                    let label = format!("repeat {}, {row}, {}", repeat + 1, server.name());
                    let requests = row.requests(self.requests);
                    let measured = load::closed(server, &exchanges, requests, usize::from(self.at_once));
                    let sample = progress.step(label, measured).await?;
                    report.add(*row, server.name(), sample);
                }
            }
        }
        println!("\n{report}{idle}");
        if let Some(file) = &self.json {
            let mut figures = report.json();
            idle.add_to(&mut figures);
            let text = serde_json::to_vec_pretty(&figures)?;
            std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }
}
