//! `cargo xtask bench idle`: what a picker costs that nobody asks anything, while it scrapes many endpoints.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::bar::{Bar, Bars, Spread};
use super::config;
use super::markdown::Markdown;
use super::options::write_json;
use super::pages::{self, Pages};
use super::peers::{Given, distinct};
use super::processors::away_from_the_servers;
use super::programs::{Programs, WAYPOST};
use super::server::Server;
use e2e::Progress;

/// Cores that a thousand endpoints may cost: a tenth of what they cost the pickers that are known.
const BAR: f64 = 3.0;
/// The same of a picker with its own settings, which scrapes seldom while nobody asks.
const QUIET_BAR: f64 = 0.1;
/// Milliseconds from one scrape of an endpoint to the next in a picker with its own settings, while nobody asks.
const REST: u16 = 2000;
/// The share of the scrapes that are due which must have happened, or the figure is that of a picker that starves.
const ENOUGH: f64 = 0.95;
/// Connections are made, and buffers have grown.
const WARM_UP: Duration = Duration::from_secs(5);
/// A picker with its own settings has come to rest.
const QUIET_WARM_UP: Duration = Duration::from_secs(10);

/// What to measure, and how often.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Endpoints that are scraped
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=4000))]
    pub endpoints: u16,
    /// Milliseconds from one scrape of an endpoint to the next; the default is the picker's own
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(50..=60_000))]
    pub interval: u16,
    /// Let the picker scrape as seldom as it does by itself while nobody asks
    #[arg(long, conflicts_with = "interval")]
    pub quiet: bool,
    /// Bytes of an endpoint's metrics, at least
    #[arg(long, value_name = "BYTES", default_value_t = pages::BYTES)]
    pub page: usize,
    /// How long each repeat measures
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    pub seconds: u16,
    /// Repeats, each with a picker of its own
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub repeats: u16,
    /// Measure this picker, in place of the one that the checkout makes
    #[arg(long, value_name = "FILE")]
    pub picker: Option<PathBuf>,
    /// Another picker to measure beside it, which you have built: it is run with the configuration and the flags of this
    /// one, and with those that follow here. May be repeated
    #[arg(long = "peer", value_name = "NAME=PROGRAM FLAG…")]
    pub peers: Vec<Given>,
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One repeat.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    /// Scrapes a second that went well, by the picker's count, if it is ours.
    scrapes: f64,
    /// Pages a second, by the count of those that answer them.
    pages: f64,
    /// Scrapes that failed, by the picker's count.
    errors: f64,
    /// Cores, in user code.
    user: f64,
    /// Cores, in the kernel.
    system: f64,
    /// Memory in use at the end, in KiB.
    resident: u64,
}

impl Sample {
    fn cores(&self) -> f64 {
        self.user + self.system
    }

    /// CPU microseconds of a scrape.
    fn each(&self) -> f64 {
        self.cores() * 1e6 / self.pages
    }
}

/// A picker to measure.
struct Measured {
    program: PathBuf,
    flags: Vec<String>,
    report: (String, Vec<Sample>),
}

impl Idle {
    /// Measures, and prints a table.
    ///
    /// # Errors
    /// When a server can't be built or started, or the picker misses the bar or too many scrapes.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        distinct(&self.peers)?;
        let programs = Programs::built(progress).await?;
        away_from_the_servers()?;
        let page = pages::of_vllm(&programs.sim, self.page).await?;
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for _ in 0..self.endpoints {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.push(listener.local_addr()?);
            listeners.push(listener);
        }
        let pages = Pages::serve(listeners, &page);
        let folder = tempfile::tempdir()?;
        let config = config::laid(folder.path(), config::BY_LOAD, &addresses)?;

        let ours = (WAYPOST.to_owned(), self.picker.clone().unwrap_or(programs.picker), Vec::new());
        let given = self.peers.iter().cloned().map(|given| (given.name, given.program, given.flags));
        let interval = ["--refresh-metrics-interval".to_owned(), format!("{}ms", self.interval)];
        // Without them it would scrape less often than others do.
        let as_often = ["--metrics-rest-interval=0s", "--metrics-max-server-share=0"].map(str::to_owned);
        let all = std::iter::once(ours).chain(given).map(|(name, program, flags)| {
            let own = if name == WAYPOST && !self.quiet { &as_often[..] } else { &[] };
            let flags = interval.iter().chain(own).cloned().chain(flags).collect();
            Measured { program, flags, report: (name, Vec::new()) }
        });
        let mut all: Vec<Measured> = all.collect();
        for repeat in 1..=self.repeats {
            for measured in &mut all {
                let label = format!("repeat {repeat}, {}", measured.report.0);
                let sample = progress.step(label, self.repeat(measured, &config, &pages)).await?;
                measured.report.1.push(sample);
            }
        }
        let samples = all.into_iter().map(|measured| measured.report).collect();
        let report = Report { idle: self.clone(), page: page.len(), samples };
        println!("\n{report}");
        write_json(self.json.as_deref(), &report.json())?;
        report.bars().hold()
    }

    async fn repeat(&self, measured: &Measured, config: &Path, pages: &Pages) -> Result<Sample> {
        let Measured { program, flags, report: (name, _) } = measured;
        let server = Server::picker(name, program, config, flags)?;
        let ours = name == WAYPOST;
        let mut server = if ours { server.ready().await? } else { server.listens().await? };
        sleep(if self.quiet { QUIET_WARM_UP } else { WARM_UP }).await;
        let answered = pages.answered();
        let ((done, errors), began, [user, system]) =
            (self.counted(&server, ours).await?, Instant::now(), server.usage().cpu_split()?);
        sleep(Duration::from_secs(self.seconds.into())).await;
        let ([user_after, system_after], took) = (server.usage().cpu_split()?, began.elapsed().as_secs_f64());
        let answered = pages.answered() - answered;
        server.alive()?;
        let (done_after, errors_after) = self.counted(&server, ours).await?;
        Ok(Sample {
            scrapes: (done_after - done) / took,
            pages: answered as f64 / took,
            errors: errors_after - errors,
            user: (user_after - user).as_secs_f64() / took,
            system: (system_after - system).as_secs_f64() / took,
            resident: server.usage().resident()?,
        })
    }

    /// Scrapes that our picker has counted, and those of them that failed. Others count otherwise, if they do.
    async fn counted(&self, server: &Server, ours: bool) -> Result<(f64, f64)> {
        if !ours {
            return Ok((f64::NAN, f64::NAN));
        }
        let metrics = server.metrics().await?;
        ensure!(
            metrics.value("waypost_picker_endpoints")? == f64::from(self.endpoints),
            "not all endpoints are known"
        );
        let done = metrics.value("waypost_picker_scrape_duration_seconds_count")?;
        Ok((done, metrics.sum("waypost_picker_scrape_errors_total", &[])))
    }

    /// Scrapes that are due in a second.
    fn due(&self) -> f64 {
        f64::from(self.endpoints) * 1000.0 / f64::from(self.every())
    }

    /// Milliseconds from one scrape of an endpoint to the next.
    fn every(&self) -> u16 {
        if self.quiet { REST } else { self.interval }
    }
}

/// All repeats, by picker.
struct Report {
    idle: Idle,
    /// Bytes of a page.
    page: usize,
    samples: Vec<(String, Vec<Sample>)>,
}

impl Report {
    /// What must hold of our picker.
    fn bars(&self) -> Bars {
        let ours =
            || self.samples.iter().filter(|(name, _)| name == WAYPOST).flat_map(|(_, samples)| samples);
        let scrapes = Spread::of(ours().map(|s| s.scrapes / self.idle.due()));
        let thousands = f64::from(self.idle.endpoints) / 1e3;
        let cores = Spread::of(ours().map(Sample::cores)) / thousands;
        Bars(vec![
            Bar::never_below(ENOUGH, "scrapes, of those that are due".to_owned(), scrapes),
            Bar::at_most(
                if self.idle.quiet { QUIET_BAR } else { BAR },
                "cores for a thousand endpoints".to_owned(),
                cores,
            ),
        ])
    }

    fn json(&self) -> Value {
        let pickers = self.samples.iter().map(|(name, samples)| {
            let samples = samples.iter().map(|s| {
                json!({
                    "scrapesPerSecond": s.scrapes, "pagesPerSecond": s.pages, "errors": s.errors,
                    "userCores": s.user, "systemCores": s.system, "cpuMicrosPerScrape": s.each(),
                    "residentKiB": s.resident,
                })
            });
            json!({"picker": name, "samples": samples.collect::<Vec<_>>()})
        });
        let (Idle { endpoints, seconds, .. }, interval) = (&self.idle, self.idle.every());
        json!({
            "bench": "idle", "endpoints": endpoints, "intervalMillis": interval, "pageBytes": self.page,
            "seconds": seconds, "pickers": pickers.collect::<Vec<_>>(), "bars": self.bars().json(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Idle { endpoints, .. }, interval) = (&self.idle, self.idle.every());
        let (due, page) = (self.idle.due(), self.page);
        writeln!(
            f,
            "{endpoints} endpoints every {interval} ms, {page} bytes each: {due:.0} scrapes a second.\n"
        )?;
        let mut table = Markdown::new([
            "picker",
            "scrapes a second",
            "pages answered a second",
            "failed",
            "cores",
            "in user code",
            "in the kernel",
            "CPU µs a scrape",
            "MiB",
        ]);
        for (name, samples) in &self.samples {
            let of = |get: fn(&Sample) -> f64| Spread::of(samples.iter().map(get));
            table.row([
                name.clone(),
                format!("{:.0}", of(|s| s.scrapes)),
                format!("{:.0}", of(|s| s.pages)),
                format!("{:.0}", of(|s| s.errors)),
                format!("{:.3}", of(Sample::cores)),
                format!("{:.3}", of(|s| s.user)),
                format!("{:.3}", of(|s| s.system)),
                format!("{:.1}", of(Sample::each)),
                format!("{:.0}", of(|s| s.resident as f64 / 1024.0)),
            ]);
        }
        write!(f, "{table}\n{}", self.bars())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        idle: Idle,
    }

    #[test]
    fn the_bar_is_held_by_the_median_and_by_scrapes_that_happened() {
        let sample = |(cores, scrapes)| Sample {
            scrapes,
            pages: 2000.0,
            errors: 0.0,
            user: cores / 2.0,
            system: cores / 2.0,
            resident: 1024,
        };
        let holds = |samples: &[(f64, f64)]| {
            let idle = Line::parse_from(["bench"]).idle;
            let other = ("other".to_owned(), vec![sample((9.0, f64::NAN))]);
            let ours = (WAYPOST.to_owned(), samples.iter().copied().map(sample).collect());
            let report = Report { idle, page: 40_000, samples: vec![ours, other] };
            assert!(report.to_string().contains("| other   | –  "), "{report}");
            report.bars().0.iter().map(Bar::holds).collect::<Vec<_>>()
        };
        assert_eq!(holds(&[(0.2, 2000.0), (0.5, 1950.0), (0.25, 1990.0)]), [true, true]);
        assert_eq!(holds(&[(0.2, 1800.0)]), [false, true]);
        assert_eq!(holds(&[(0.31, 2000.0)]), [true, false]);
    }
}
