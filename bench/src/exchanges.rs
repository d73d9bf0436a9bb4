//! `cargo xtask bench exchanges`: CPU time for each exchange, and how long a decision takes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use super::config;
use super::load;
use super::options::{between, write_json};
use super::pace::Pace;
use super::peers::{Given, distinct};
use super::programs::{WAYPOST, YARDSTICK};
use super::report::Report;
use super::server::{Alone, Server};
use super::test_bed::TestBed;
use super::workload::{self, HEADERS_ALONE, Row};
use e2e::Progress;

/// How long a server that was stopped has to learn again how the model servers are.
const SETTLE: Duration = Duration::from_millis(300);

/// How long a picker keeps a connection at least.
const CONNECTION: Duration = Duration::from_secs(54);

/// What to measure, and how often.
#[derive(Args, Clone, Debug)]
pub struct Exchanges {
    /// Requests of each row in each repeat
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub requests: u32,
    /// Repeats; the order of the servers rotates with each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub repeats: u16,
    /// Requests at once, all on one connection
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub at_once: u16,
    /// Open loop: so many `short` requests a second, and of the longer rows as many fewer as in a closed loop
    #[arg(long, conflicts_with = "at_once", value_parser = between(1.0, 1e6))]
    pub rate: Option<f64>,
    /// Over TLS, with one cipher suite for all
    #[arg(long)]
    pub tls: bool,
    /// Measure these rows alone; `headers` brings `short`, which it is held against
    #[arg(long, value_enum, num_args = 1..)]
    pub rows: Vec<Row>,
    /// Another picker to measure, which you have built: it is run with the configuration and the flags of this one, and
    /// with those that follow here. May be repeated; it has no `headers` row
    #[arg(long = "peer", value_name = "NAME=PROGRAM FLAG…")]
    pub peers: Vec<Given>,
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Exchanges {
    /// Measures, and prints a table.
    ///
    /// # Errors
    /// When a server can't be built or started, or an exchange does not go as it must.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        self.fits()?;
        distinct(&self.peers)?;
        let rows = self.rows();
        let test_bed = TestBed::start(self.tls, progress).await?;
        if self.rate.is_some() {
            test_bed.client_goes_first().await?;
        }
        let mut servers = vec![
            test_bed.yardstick().await?,
            test_bed.picker(WAYPOST, &config::whole(config::QUEUE)).await?,
            test_bed.picker(HEADERS_ALONE, config::BY_LOAD).await?,
        ];
        for given in &self.peers {
            servers.push(test_bed.given(given).await?);
        }
        let pace = self.rate.map_or(Pace::Closed(self.at_once.into()), Pace::Open);
        let mut report = Report::new(pace, self.tls);
        for repeat in 0..usize::from(self.repeats) {
            for row in &rows {
                let exchanges = workload::exchanges(*row);
                for server in in_turn(&servers, *row, repeat) {
                    let label = format!("repeat {}, {row}, {}", repeat + 1, server.name());
                    let measured = async {
                        let _alone = Alone::only(server, &servers)?;
                        tokio::time::sleep(SETTLE).await;
                        load::measure(server, &exchanges, row.share(self.requests as usize), row.pace(pace))
                            .await
                    };
                    report.add(*row, server.name(), progress.step(label, measured).await?);
                }
            }
        }
        println!("\n{report}");
        write_json(self.json.as_deref(), &report.json())
    }

    /// Whether all requests of a row are sent before a picker ends their connection.
    ///
    /// # Errors
    /// When they are not.
    fn fits(&self) -> Result<()> {
        let Some(rate) = self.rate else { return Ok(()) };
        let seconds = f64::from(self.requests) / rate;
        ensure!(
            seconds <= CONNECTION.as_secs_f64(),
            "--requests {} at --rate {rate} take {seconds:.0} s, and a connection lives {CONNECTION:?}: ask for fewer",
            self.requests,
        );
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let asked = |row: &Row| {
            let other = |asked: &Row| asked == row || asked.bar().1 == *row;
            self.rows.is_empty() || self.rows.iter().any(other)
        };
        Row::ALL.into_iter().filter(asked).collect()
    }
}

/// The servers of a row, another one first with each repeat.
fn in_turn(servers: &[Server], row: Row, repeat: usize) -> impl Iterator<Item = &Server> {
    let runs = |server: &&Server| match server.name() {
        YARDSTICK => true,
        WAYPOST | HEADERS_ALONE => server.name() == row.picker(),
        _ => row != Row::Headers,
    };
    let mut servers: Vec<&Server> = servers.iter().filter(runs).collect();
    let first = repeat % servers.len();
    servers.rotate_left(first);
    servers.into_iter()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        exchanges: Exchanges,
    }

    #[test]
    fn headers_bring_the_row_that_they_are_held_against() {
        let rows = |line: &[&str]| Line::parse_from([&["bench"], line].concat()).exchanges.rows();
        assert_eq!(rows(&[]), Row::ALL);
        assert_eq!(rows(&["--rows", "headers"]), [Row::Short, Row::Headers]);
        assert_eq!(rows(&["--rows", "huge", "long"]), [Row::Long, Row::Huge]);
    }

    #[test]
    fn a_loop_is_open_or_closed() {
        assert!(Line::try_parse_from(["bench", "--rate", "8000", "--at-once", "8"]).is_err());
        assert!(Line::try_parse_from(["bench", "--rate", "0"]).is_err());
        assert!(Line::try_parse_from(["bench", "--rate", "8000"]).is_ok());
    }

    #[test]
    fn an_open_loop_ends_before_its_connection() {
        let fits = |line: &[&str]| {
            let fits = Line::parse_from([&["bench"], line].concat()).exchanges.fits();
            fits.map_err(|error| error.to_string())
        };
        assert_eq!(fits(&["--rate", "10", "--requests", "540"]), Ok(()));
        let error = "--requests 541 at --rate 10 take 54 s, and a connection lives 54s: ask for fewer";
        assert_eq!(fits(&["--rate", "10", "--requests", "541"]), Err(error.to_owned()));
        assert_eq!(fits(&["--requests", "1000000"]), Ok(()));
    }
}
