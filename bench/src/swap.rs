//! `cargo xtask bench swap`: whether a change of strategy under load shows in how long decisions take.

mod report;
mod window;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::report::Report;
use self::window::Windows;
use super::client::Client;
use super::config;
use super::exchange::Exchange;
use super::options::{between, write_json};
use super::programs::WAYPOST;
use super::server::Server;
use super::test_bed::TestBed;
use super::workload::{self, Row};
use e2e::Progress;

/// Load before the first window.
const WARM_UP: Duration = Duration::from_secs(2);
/// Weights of the queue that take turns.
const WEIGHTS: [u32; 2] = [2, 3];

/// How long, and how often.
#[derive(Args, Clone, Debug)]
pub struct Swap {
    /// Pairs of windows: one with a swap in it, one without
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub pairs: u16,
    /// Seconds of a window. The picker looks at its file four times a second
    // A look at the file every quarter of a second must fit in.
    #[arg(long, default_value_t = 2.0, value_parser = between(1.0, 30.0))]
    pub window: f64,
    /// Requests at once, all on one connection
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub at_once: u16,
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Swap {
    /// Measures, and prints a table.
    ///
    /// # Errors
    /// When a program can't be built or started, an exchange fails, or a swap does not take place in its window.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        let test_bed = TestBed::start(false, progress).await?;
        let server = test_bed.picker(WAYPOST, &config::whole(WEIGHTS[0])).await?;
        let before = server.metrics().await?.value(SWAPS)?;
        let report = progress.step("swapping under load", self.load(&test_bed, &server, progress)).await?;
        let swaps = server.metrics().await?.value(SWAPS)? - before;
        ensure!(
            swaps == f64::from(self.pairs),
            "the picker counts {swaps} swaps, and there were {}",
            self.pairs
        );
        println!("\n{report}");
        write_json(self.json.as_deref(), &report.json())
    }

    async fn load(&self, test_bed: &TestBed, server: &Server, progress: &Progress) -> Result<Report> {
        let windows = Arc::new(Windows::new()?);
        let exchanges: Arc<[Exchange]> = workload::exchanges(Row::Short).into();
        let client = Arc::new(RwLock::new(server.connect().await?));
        let stop = CancellationToken::new();
        let mut lanes = JoinSet::new();
        for lane in 0..usize::from(self.at_once) {
            // Each begins elsewhere in the requests.
            let first = lane * exchanges.len() / usize::from(self.at_once);
            lanes.spawn(asking(client.clone(), exchanges.clone(), first, windows.clone(), stop.clone()));
        }
        let measured = tokio::select! {
            measured = self.measure(test_bed, server, &client, &windows, progress) => measured,
            Some(lane) = lanes.join_next() => Err(match lane? {
                Err(error) => error.context("an exchange failed"),
                Ok(()) => anyhow::anyhow!("a lane ended early"),
            }),
        };
        stop.cancel();
        let report = measured?;
        while let Some(lane) = lanes.join_next().await {
            lane?.context("an exchange failed")?;
        }
        Ok(report)
    }

    async fn measure(
        &self,
        test_bed: &TestBed,
        server: &Server,
        client: &RwLock<Client>,
        windows: &Windows,
        progress: &Progress,
    ) -> Result<Report> {
        let length = Duration::from_secs_f64(self.window);
        tokio::time::sleep(WARM_UP).await;
        let warm = windows.next()?;
        let mut serving = warm.only_revision().context("before the first swap")?;
        let mut report = Report::new(self.at_once, self.window);
        for pair in 0..usize::from(self.pairs) {
            // What drifts meanwhile is not always against the same kind.
            for swap in if pair % 2 == 0 { [true, false] } else { [false, true] } {
                // Before the picker sends new streams elsewhere, as it does with connections of a minute.
                let next = server.connect().await?;
                *client.write().unwrap_or_else(PoisonError::into_inner) = next;
                if !swap {
                    tokio::time::sleep(length).await;
                    let seen = windows.next()?;
                    let only =
                        seen.only_revision().with_context(|| format!("pair {}, without swap", pair + 1))?;
                    ensure!(only == serving, "revision {only} serves without a swap");
                    report.quiet.push(seen.times);
                    continue;
                }
                // The edit in the first quarter, so that it is live well within the window.
                tokio::time::sleep(length / 8).await;
                let edited = Instant::now();
                test_bed.configure(WAYPOST, &config::whole(WEIGHTS[(pair + 1) % 2]))?;
                tokio::time::sleep(length - length / 8).await;
                let seen = windows.next()?;
                let live =
                    seen.swapped_from(&serving).with_context(|| format!("pair {}, with swap", pair + 1))?;
                report.live.push(live.since.saturating_duration_since(edited));
                serving = live.revision;
                report.swapped.push(seen.times);
            }
            if (pair + 1) % 5 == 0 {
                progress.say(format_args!("{} of {} pairs", pair + 1, self.pairs));
            }
        }
        Ok(report)
    }
}

const SWAPS: &str = "waypost_strategy_swaps_total";

async fn asking(
    client: Arc<RwLock<Client>>,
    exchanges: Arc<[Exchange]>,
    first: usize,
    windows: Arc<Windows>,
    stop: CancellationToken,
) -> Result<()> {
    for number in first.. {
        if stop.is_cancelled() {
            break;
        }
        let now = client.read().unwrap_or_else(PoisonError::into_inner).clone();
        let decision = now.exchange(&exchanges[number % exchanges.len()]).await?;
        windows.note(&decision)?;
    }
    Ok(())
}
