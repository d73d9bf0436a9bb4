//! `cargo xtask bench idle`: what a picker costs that nobody asks anything, while it scrapes many endpoints.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::arms::{self, Server};
use super::away_from_the_servers;
use super::pages::{self, Pages};
use super::report::{shown, spread, write_json};
use crate::load::Client;
use crate::stage::{Metrics, Table};
use crate::{Progress, until};

/// What all endpoints together may cost, in cores, when there are a hundred of them: a tenth of what one endpoint
/// costs the pickers that are known.
const BAR: f64 = 0.003;
/// The share of the scrapes that are due which must have happened, or the figure is that of a picker that starves.
const ENOUGH: f64 = 0.95;
/// The ports of the endpoints, from this one on.
const FIRST_PORT: u16 = 20_000;
const METRICS_PORT: u16 = 17_290;
/// Connections are made, and buffers have grown.
const WARM_UP: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);
const CONFIG: &str = "\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: file-discovery, parameters: {path: ENDPOINTS}}
- type: queue-scorer
- type: kv-cache-utilization-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer}
  - {pluginRef: kv-cache-utilization-scorer}
dataLayer: {discovery: {pluginRef: file-discovery}}
";

/// What to measure, and how often.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Endpoints that are scraped
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=4000))]
    pub endpoints: u16,
    /// Milliseconds from one scrape of an endpoint to the next; the default is the picker's own
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(50..=60_000))]
    pub interval: u16,
    /// Bytes of an endpoint's metrics, at least
    #[arg(long, value_name = "BYTES", default_value_t = 40_000)]
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
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One repeat.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    /// Scrapes a second that went well, by the picker's count.
    scrapes: f64,
    /// Pages a second, by the count of those that answer them.
    pages: f64,
    /// Scrapes that failed.
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
        self.cores() * 1e6 / self.scrapes
    }
}

impl Idle {
    /// Measures, and prints a table.
    ///
    /// # Errors
    /// When a server can't be built or started, or the picker misses the bar or too many scrapes.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        let [built, sim] = arms::released(progress).await?;
        let picker = self.picker.clone().unwrap_or(built);
        away_from_the_servers()?;
        let page = pages::of_vllm(&sim, self.page).await?;
        let mut listeners = Vec::new();
        for port in self.ports() {
            let listening = TcpListener::bind(("127.0.0.1", port)).await;
            listeners.push(listening.with_context(|| format!("listening on port {port}"))?);
        }
        let pages = Pages::serve(listeners, &page);
        let folder = tempfile::tempdir()?;
        let endpoints = folder.path().join("endpoints.yaml");
        std::fs::write(&endpoints, self.list()?)?;
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, CONFIG.replace("ENDPOINTS", &endpoints.display().to_string()))?;

        let mut samples = Vec::new();
        for repeat in 1..=self.repeats {
            let label = format!("repeat {repeat}");
            samples.push(progress.step(label, self.repeat(&picker, &config, &pages)).await?);
        }
        println!("\n{}", self.table(&samples));
        write_json(self.json.as_deref(), &self.json(page.len(), &samples))?;
        self.verdict(&samples)
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        (0..self.endpoints).map(|at| FIRST_PORT + at)
    }

    fn list(&self) -> Result<String> {
        let mut list = String::from("endpoints:\n");
        for port in self.ports() {
            writeln!(list, "- {{name: idle-{port}, address: 127.0.0.1, port: \"{port}\"}}")?;
        }
        Ok(list)
    }

    async fn repeat(&self, picker: &Path, config: &Path, pages: &Pages) -> Result<Sample> {
        let (config, metrics) = (config.display().to_string(), METRICS_PORT.to_string());
        let interval = format!("{}ms", self.interval);
        let args = [
            "--config-file",
            &config,
            "--grpc-port",
            "17202",
            "--grpc-health-port",
            "17203",
            "--metrics-port",
            &metrics,
            "--refresh-metrics-interval",
            &interval,
        ];
        // A new connection each time: the picker closes those that are idle, maybe just then.
        let page =
            async |path: &str| Client::new().get(&format!("http://127.0.0.1:{METRICS_PORT}/{path}")).await;
        ensure!(page("readyz").await.is_err(), "port {METRICS_PORT} is taken");
        let mut server = Server::start("Waypost", "127.0.0.1:17202", picker, &args)?;
        until("the picker", PATIENCE, || page("readyz")).await?;
        let counted = async || {
            let metrics = Metrics::parse(&page("metrics").await?);
            ensure!(
                metrics.value("waypost_picker_endpoints")? == f64::from(self.endpoints),
                "not all endpoints are known"
            );
            let done = metrics.value("waypost_picker_scrape_duration_seconds_count")?;
            Ok((done, metrics.sum("waypost_picker_scrape_errors_total", &[])))
        };
        sleep(WARM_UP).await;
        let answered = pages.answered();
        let ((done, errors), began, [user, system]) =
            (counted().await?, Instant::now(), server.usage().cpu_split()?);
        sleep(Duration::from_secs(self.seconds.into())).await;
        let ([user_after, system_after], took) = (server.usage().cpu_split()?, began.elapsed().as_secs_f64());
        let answered = pages.answered() - answered;
        server.still_runs()?;
        let (done_after, errors_after) = counted().await?;
        Ok(Sample {
            scrapes: (done_after - done) / took,
            pages: answered as f64 / took,
            errors: errors_after - errors,
            user: (user_after - user).as_secs_f64() / took,
            system: (system_after - system).as_secs_f64() / took,
            resident: server.usage().resident()?,
        })
    }

    /// Scrapes that are due in a second.
    fn due(&self) -> f64 {
        f64::from(self.endpoints) * 1000.0 / f64::from(self.interval)
    }

    fn table(&self, samples: &[Sample]) -> Table {
        let mut table = Table::new(&[("figure", 40), ("median (least to most)", 40)]);
        let of = |get: fn(&Sample) -> f64| spread(samples.iter().map(get));
        let endpoints = f64::from(self.endpoints);
        table.row(["scrapes a second", &shown(of(|s| s.scrapes), 0)]);
        table.row(["pages answered a second", &shown(of(|s| s.pages), 0)]);
        table.row(["due", &format!("{:.0}", self.due())]);
        table.row(["scrapes that failed", &shown(of(|s| s.errors), 0)]);
        table.row(["cores", &shown(of(Sample::cores), 3)]);
        table.row(["of these in user code", &shown(of(|s| s.user), 3)]);
        table.row(["of these in the kernel", &shown(of(|s| s.system), 3)]);
        table.row(["cores an endpoint", &shown(of(Sample::cores).map(|cores| cores / endpoints), 5)]);
        table.row(["CPU µs a scrape", &shown(of(Sample::each), 1)]);
        table.row(["MiB", &shown(of(|s| s.resident as f64 / 1024.0), 0)]);
        table
    }

    fn json(&self, page: usize, samples: &[Sample]) -> Value {
        let samples = samples.iter().map(|s| {
            json!({
                "scrapesPerSecond": s.scrapes, "pagesPerSecond": s.pages, "errors": s.errors,
                "userCores": s.user, "systemCores": s.system, "cpuMicrosPerScrape": s.each(), "residentKiB": s.resident,
            })
        });
        json!({
            "endpoints": self.endpoints, "intervalMillis": self.interval, "pageBytes": page, "seconds": self.seconds,
            "samples": samples.collect::<Vec<_>>(),
        })
    }

    fn verdict(&self, samples: &[Sample]) -> Result<()> {
        let [fewest, ..] = spread(samples.iter().map(|s| s.scrapes));
        let [_, cores, _] = spread(samples.iter().map(Sample::cores));
        let bar = BAR * f64::from(self.endpoints);
        ensure!(fewest >= ENOUGH * self.due(), "only {fewest:.0} of {:.0} scrapes a second", self.due());
        ensure!(cores <= bar, "{cores:.3} cores, and the bar is {bar:.3}");
        println!("The bar of {bar:.3} cores holds.");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle() -> Idle {
        Idle { endpoints: 100, interval: 50, page: 40_000, seconds: 30, repeats: 1, picker: None, json: None }
    }

    #[test]
    fn the_bar_is_held_by_the_median_and_by_scrapes_that_happened() {
        let sample = |cores, scrapes| Sample {
            scrapes,
            pages: scrapes,
            errors: 0.0,
            user: cores / 2.0,
            system: cores / 2.0,
            resident: 1024,
        };
        idle().verdict(&[sample(0.2, 2000.0), sample(0.5, 1950.0), sample(0.25, 1990.0)]).unwrap();
        let slow = idle().verdict(&[sample(0.2, 1800.0)]).unwrap_err();
        assert_eq!(slow.to_string(), "only 1800 of 2000 scrapes a second");
        let dear = idle().verdict(&[sample(0.31, 2000.0)]).unwrap_err();
        assert_eq!(dear.to_string(), "0.310 cores, and the bar is 0.300");
    }

    #[test]
    fn the_list_is_one_that_the_picker_reads() {
        let list = Idle { endpoints: 2, ..idle() }.list().unwrap();
        assert_eq!(
            list,
            "endpoints:\n- {name: idle-20000, address: 127.0.0.1, port: \"20000\"}\n\
             - {name: idle-20001, address: 127.0.0.1, port: \"20001\"}\n"
        );
    }
}
