//! A running load: requests at a rate, or a number of them at once, until it is stopped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::ask::Ask;
use super::client::Client;
use super::prompts::Prompts;
use super::report::{Outcome, Report, Sample};

/// A load to be put on a gateway.
#[derive(Clone, Debug)]
pub struct Load {
    url: String,
    pace: Pace,
    streamed: f64,
    prompts: Prompts,
    like: Ask,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    /// So many a second, whatever the answers do.
    PerSecond(f64),
    /// So many at once, the next when one has ended.
    AtOnce(usize),
}

impl Load {
    /// A load on the gateway at `url` (without a path): eight at once, none streamed, unless said otherwise.
    pub fn new(url: &str) -> Self {
        let prompts = Prompts::default();
        Self { url: url.to_owned(), pace: Pace::AtOnce(8), streamed: 0.0, prompts, like: Ask::new("") }
    }

    /// Open loop: `rate` requests a second at even distances, however long the answers take.
    #[must_use]
    pub fn per_second(self, rate: f64) -> Self {
        Self { pace: Pace::PerSecond(rate), ..self }
    }

    /// Closed loop: `count` requests at once, each followed by the next.
    #[must_use]
    pub fn at_once(self, count: usize) -> Self {
        Self { pace: Pace::AtOnce(count), ..self }
    }

    /// The share of the requests, 0 to 1, that ask for a streamed answer.
    #[must_use]
    pub fn streamed(self, share: f64) -> Self {
        Self { streamed: share, ..self }
    }

    /// Where the prompts come from.
    #[must_use]
    pub fn prompts(self, prompts: Prompts) -> Self {
        Self { prompts, ..self }
    }

    /// Everything else of each request is as in `ask`: model, answer length, headers, time limit.
    #[must_use]
    pub fn like(self, ask: Ask) -> Self {
        Self { like: ask, ..self }
    }

    /// Begins. The load ends when the value is dropped.
    pub fn start(self) -> Running {
        let shared = Arc::new(Shared {
            load: self,
            client: Client::new(),
            began: Instant::now(),
            numbers: AtomicU64::new(0),
            samples: Mutex::new(Vec::new()),
        });
        let (stop, stopped) = watch::channel(false);
        let driver = tokio::spawn(drive(shared.clone(), stopped));
        Running { shared, stop, driver }
    }
}

/// A load that is on.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    driver: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Running {
    /// What it has seen so far.
    pub fn so_far(&self) -> Report {
        let samples = self.shared.samples.lock().map(|samples| samples.clone()).unwrap_or_default();
        Report { began: self.shared.began, samples }
    }

    /// How many requests have ended so far.
    pub fn total(&self) -> usize {
        self.shared.samples.lock().map_or(0, |samples| samples.len())
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.shared.numbers.load(Ordering::Relaxed))
            .unwrap_or(usize::MAX)
            .saturating_sub(self.total())
    }

    /// Sends no more, waits for the answers under way, and gives back what was seen.
    pub async fn stop(mut self) -> Report {
        self.stop.send_replace(true);
        // A panic of a request's task would be a defect of the load itself; its sample is missing then.
        let _ = (&mut self.driver).await;
        self.so_far()
    }
}

#[derive(Debug)]
struct Shared {
    load: Load,
    client: Client,
    began: Instant,
    numbers: AtomicU64,
    samples: Mutex<Vec<Sample>>,
}

async fn drive(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut requests = JoinSet::new();
    match shared.load.pace {
        Pace::PerSecond(rate) => {
            let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / rate.max(0.001)));
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            while !*stopped.borrow() {
                tokio::select! {
                    _ = tick.tick() => { requests.spawn(shared.clone().one()); }
                    _ = stopped.changed() => break,
                }
                while requests.try_join_next().is_some() {}
            }
        }
        Pace::AtOnce(count) => {
            for _ in 0..count {
                let (shared, stopped) = (shared.clone(), stopped.clone());
                requests.spawn(async move {
                    while !*stopped.borrow() {
                        shared.clone().one().await;
                    }
                });
            }
        }
    }
    while requests.join_next().await.is_some() {}
}

impl Shared {
    async fn one(self: Arc<Self>) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let ask = self.load.ask(number);
        let sent = Instant::now();
        let answer = ask.send(&self.client, &self.load.url).await;
        let took = sent.elapsed();
        let first_byte = answer.as_ref().map_or(took, |answer| answer.first_byte);
        let outcome = match answer {
            Ok(answer) if answer.status == StatusCode::OK => {
                Outcome::Served { pod: answer.pod().unwrap_or("unnamed").into(), usage: answer.usage }
            }
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
                Outcome::Refused { status: answer.status, body }
            }
            Err(error) => Outcome::Broken(format!("{error:#}")),
        };
        if let Ok(mut samples) = self.samples.lock() {
            samples.push(Sample { sent, took, first_byte, streamed: ask.stream, outcome });
        }
    }
}

impl Load {
    /// Request number `number`: streamed ones are spread evenly over all.
    fn ask(&self, number: u64) -> Ask {
        let due = |number: u64| (number as f64 * self.streamed).floor();
        let stream = due(number + 1) > due(number);
        Ask { prompt: self.prompts.prompt(number), stream, ..self.like.clone() }
    }
}

#[cfg(test)]
mod tests;
