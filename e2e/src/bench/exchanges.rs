//! `cargo xtask bench exchanges`: CPU time for each exchange, and how long a decision takes.

use anyhow::Result;
use clap::Args;

use super::arms::Arms;
use super::report::{Report, write_json};
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
        let arms = arms.started(progress).await?;
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
        println!("\n{report}");
        write_json(self.json.as_deref(), &report.json())
    }
}
