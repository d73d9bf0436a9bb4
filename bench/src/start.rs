//! `cargo xtask bench start`: from the start of a picker to its being ready, with many pods in a real API server.

mod objects;
mod picker;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

use super::bar::{Bar, Bars, Spread};
use super::markdown::Markdown;
use super::options::write_json;
use super::pages::{self, Pages};
use super::programs::Programs;
use e2e::cluster::Family;
use e2e::{Cluster, Progress};
use objects::Objects;
use picker::{Picker, Start};

/// How long it may take from the API server's first answer to being ready, in seconds.
const BAR: f64 = 2.0;
/// Connections that wait to be taken; the kernel may allow fewer, by default 4096.
const QUEUE: u32 = 20_000;

/// What to measure, and how often.
#[derive(Args, Clone, Debug)]
pub struct Starts {
    /// Pods of the pool
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    pub pods: u16,
    /// Bytes of a pod's metrics, at least
    #[arg(long, value_name = "BYTES", default_value_t = pages::BYTES)]
    pub page: usize,
    /// Repeats, each with a picker of its own
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub repeats: u16,
    /// Start the picker while the API server is away, and bring that back then
    #[arg(long)]
    pub away: bool,
    /// Measure this picker, in place of the one that the checkout makes
    #[arg(long, value_name = "FILE")]
    pub picker: Option<PathBuf>,
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Starts {
    /// Measures, and prints a table. Takes the cluster that is up, or brings one up, and leaves it up.
    ///
    /// # Errors
    /// When the cluster does not come up, or a picker does not become ready within the bar.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        let programs = Programs::built(progress).await?;
        let picker = self.picker.clone().unwrap_or(programs.picker);
        let page = pages::of_vllm(&programs.sim, self.page).await?;
        let cluster = Cluster::up(Family::Ipv4, progress).await?;
        let listener = listener()?;
        let port = listener.local_addr()?.port();
        let pages = Pages::serve(vec![listener], &page);
        let creation = Objects::create(cluster.kubectl().await?, self.pods, port);
        let objects = progress.step(format!("making {} pods", self.pods), creation).await?;
        let starts = self.starts(&Picker::new(&picker, &cluster, self.pods), progress).await;
        let cleared = progress.step("clearing up", objects.delete()).await;
        drop(pages);
        let starts = starts?;
        cleared?;
        let bars = bars(&starts);
        println!("\n{}\n{bars}", table(&starts));
        write_json(self.json.as_deref(), &self.json(page.len(), &starts, &bars))?;
        bars.hold()
    }

    async fn starts(&self, picker: &Picker<'_>, progress: &Progress) -> Result<Vec<Start>> {
        let mut starts = Vec::new();
        for repeat in 1..=self.repeats {
            let start = async { if self.away { picker.start_first().await } else { picker.start().await } };
            starts.push(progress.step(format!("repeat {repeat}"), start).await?);
        }
        Ok(starts)
    }

    fn json(&self, page: usize, starts: &[Start], bars: &Bars) -> Value {
        let starts = starts.iter().map(|s| {
            json!({
                "answeredSeconds": s.answered, "listedSeconds": s.listed, "readySeconds": s.ready,
                "scrapedSeconds": s.scraped, "readyAfterAnswerSeconds": s.after_answer(),
                "endpointsWhenReady": s.endpoints, "unknownWhenReady": s.unknown, "cpuSeconds": s.cpu,
            })
        });
        json!({
            "bench": "start", "pods": self.pods, "pageBytes": page, "apiServerAwayFirst": self.away,
            "starts": starts.collect::<Vec<_>>(), "bars": bars.json(),
        })
    }
}

/// All model servers as one, each at an address of its own. Pods have a queue each for those who connect; this one must
/// be long enough for all of them, or some are only let in when they try again, a second later.
fn listener() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into()).context("looking for a port")?;
    Ok(socket.listen(QUEUE)?)
}

fn table(starts: &[Start]) -> Markdown {
    let mut table = Markdown::new(["figure", "median (least to most)"]);
    let of = |get: fn(&Start) -> f64| Spread::of(starts.iter().map(get));
    let mut row = |figure: &str, shown: String| table.row([figure.to_owned(), shown]);
    row("first answer of the API server, s after the start", format!("{:.3}", of(|s| s.answered)));
    row("pods listed, s after the start", format!("{:.3}", of(|s| s.listed)));
    row("ready, s after the start", format!("{:.3}", of(|s| s.ready)));
    row("ready, s after the first answer", format!("{:.3}", of(Start::after_answer)));
    row("all endpoints read, s after the start", format!("{:.3}", of(|s| s.scraped)));
    row("endpoints routed to when ready", format!("{:.0}", of(|s| s.endpoints)));
    row("of these without a reading", format!("{:.0}", of(|s| s.unknown)));
    row("CPU s of the picker until ready", format!("{:.2}", of(|s| s.cpu)));
    table
}

fn bars(starts: &[Start]) -> Bars {
    let after = Spread::of(starts.iter().map(Start::after_answer));
    Bars(vec![Bar::at_most(BAR, "ready, seconds after the API server's first answer".to_owned(), after)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_held_from_the_first_answer_on() {
        let start = |answered, ready| Start {
            answered,
            listed: ready,
            ready,
            scraped: ready,
            endpoints: 1000.0,
            unknown: 0.0,
            cpu: 0.5,
        };
        bars(&[start(3.0, 4.5), start(0.1, 2.0), start(0.1, 9.0)]).hold().unwrap();
        let late = bars(&[start(0.5, 3.0)]);
        assert!(late.hold().is_err());
        assert_eq!(
            late.to_string(),
            "- DOES NOT HOLD: ready, seconds after the API server's first answer: 2.50, at most 2\n"
        );
    }
}
