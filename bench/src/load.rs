//! A load generator for ext_proc servers, and the CPU time and memory that the server used meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::client::{Client, Decision};
use super::exchange::Exchange;
use super::instructions::Counter;
use super::latencies::Latencies;
use super::pace::Pace;
use super::report::Sample;
use super::server::Server;

/// Exchanges before those that are measured, as a share of them.
const WARM_UP: usize = 10;

/// `requests` exchanges on one connection, and some on another before.
///
/// # Errors
/// When an exchange does not go as it must.
pub async fn measure(server: &Server, exchanges: &[Exchange], requests: usize, pace: Pace) -> Result<Sample> {
    let exchanges: Arc<[Exchange]> = exchanges.into();
    let client = server.connect().await?;
    run(&client, &exchanges, (requests / WARM_UP).max(1), pace).await?;
    // A picker asks gateways for a new connection each minute.
    let client = server.connect().await?;
    let instructions = Counter::of(server.usage())?;
    let (before, began) = (server.usage().cpu()?, Instant::now());
    let times = run(&client, &exchanges, requests, pace).await?;
    let (cpu, took) = (server.usage().cpu()? - before, began.elapsed());
    let instructions = instructions.read().await?;
    let count = times.decisions.count() as f64;
    Ok(Sample {
        cpu: cpu.as_secs_f64() * 1e6 / count,
        instructions: instructions.map(|all| all as f64 / count),
        p50: times.decisions.at(0.5),
        p99: times.decisions.at(0.99),
        p999: times.decisions.at(0.999),
        late: matches!(pace, Pace::Open(_)).then(|| times.late.at(0.99)),
        rate: count / took.as_secs_f64(),
        resident: server.usage().resident()?,
    })
}

/// What was seen of a load.
struct Times {
    /// How long decisions took.
    decisions: Latencies,
    /// How long after they were due requests had been sent.
    late: Latencies,
}

impl Times {
    fn none() -> Result<Self> {
        Ok(Self { decisions: Latencies::none()?, late: Latencies::none()? })
    }
}

async fn run(client: &Client, exchanges: &Arc<[Exchange]>, requests: usize, pace: Pace) -> Result<Times> {
    match pace {
        Pace::Closed(at_once) => closed(client, exchanges, requests, at_once).await,
        Pace::Open(rate) => open(client, exchanges, requests, rate).await,
    }
}

async fn closed(
    client: &Client,
    exchanges: &Arc<[Exchange]>,
    requests: usize,
    at_once: usize,
) -> Result<Times> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut lanes = JoinSet::new();
    for _ in 0..at_once {
        let (client, exchanges, next) = (client.clone(), exchanges.clone(), next.clone());
        lanes.spawn(async move {
            let mut decisions = Latencies::none()?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok::<_, anyhow::Error>(decisions);
                }
                let Decision { sent, here, .. } =
                    client.exchange(&exchanges[number % exchanges.len()]).await?;
                decisions.record(here - sent);
            }
        });
    }
    let mut all = Times::none()?;
    while let Some(lane) = lanes.join_next().await {
        all.decisions.add(&lane??)?;
    }
    Ok(all)
}

async fn open(client: &Client, exchanges: &Arc<[Exchange]>, requests: usize, rate: f64) -> Result<Times> {
    let (client, exchanges, runtime) = (client.clone(), exchanges.clone(), Handle::current());
    // A thread of its own: the runtime's timer knows milliseconds only.
    let sending = tokio::task::spawn_blocking(move || {
        let mut all = JoinSet::new();
        let began = Instant::now();
        for (number, after) in arrivals(rate).take(requests).enumerate() {
            let due = began + after;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (client, exchanges) = (client.clone(), exchanges.clone());
            all.spawn_on(
                async move {
                    let decision = client.exchange(&exchanges[number % exchanges.len()]).await;
                    decision.map(|decision| (due, decision))
                },
                &runtime,
            );
        }
        all
    });
    let mut exchanges = sending.await.context("sending")?;
    let mut all = Times::none()?;
    while let Some(exchange) = exchanges.join_next().await {
        let (due, Decision { sent, here, .. }) = exchange??;
        all.decisions.record(here - due);
        all.late.record(sent - due);
    }
    Ok(all)
}

/// Times of arrivals, `rate` a second.
fn arrivals(rate: f64) -> impl Iterator<Item = Duration> {
    let mut random = StdRng::seed_from_u64(0x5eed);
    let mut at = 0.0;
    std::iter::repeat_with(move || {
        // 1 - x is never 0, whose logarithm is endless.
        at -= (1.0 - random.random::<f64>()).ln() / rate;
        Duration::from_secs_f64(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_as_many_as_asked_for_and_independent() {
        let times: Vec<f64> = arrivals(1000.0).take(50_001).map(|at| at.as_secs_f64()).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 1000.0 - 1.0).abs() < 0.02, "{mean}");
        // Of a Poisson process, gaps spread as wide as they are long.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{variance}");
        assert!(arrivals(1000.0).take(9).eq(arrivals(1000.0).take(9)), "the same each time");
    }
}
