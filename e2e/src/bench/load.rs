//! Putting load on a server, and reading what it used meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::arms::Server;
use super::client::Client;
use super::exchange::Exchange;
use super::report::Sample;

/// Exchanges before those that are measured, as a share of them.
const WARM_UP: usize = 10;

/// Closed loop: `at_once` exchanges on one connection, each followed by the next, `requests` in all.
///
/// # Errors
/// When an exchange does not go as it must.
pub async fn closed(
    server: &Server,
    exchanges: &[Exchange],
    requests: usize,
    at_once: usize,
) -> Result<Sample> {
    let exchanges: Arc<[Exchange]> = exchanges.into();
    let client = Client::connect(server.address()).await?;
    run(&client, &exchanges, requests / WARM_UP, at_once).await?;
    let (before, began) = (server.usage().cpu()?, Instant::now());
    let mut decisions = run(&client, &exchanges, requests, at_once).await?;
    let (cpu, took) = (server.usage().cpu()? - before, began.elapsed());
    decisions.sort_unstable();
    let at = |share: f64| decisions[((decisions.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Ok(Sample {
        cpu: cpu.as_secs_f64() * 1e6 / decisions.len() as f64,
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        rate: decisions.len() as f64 / took.as_secs_f64(),
        resident: server.usage().resident()?,
    })
}

async fn run(
    client: &Client,
    exchanges: &Arc<[Exchange]>,
    requests: usize,
    at_once: usize,
) -> Result<Vec<Duration>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut lanes = JoinSet::new();
    for _ in 0..at_once {
        let (client, exchanges, next) = (client.clone(), exchanges.clone(), next.clone());
        lanes.spawn(async move {
            let mut decisions = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok::<_, anyhow::Error>(decisions);
                }
                decisions.push(client.exchange(&exchanges[number % exchanges.len()]).await?);
            }
        });
    }
    let mut all = Vec::with_capacity(requests);
    while let Some(lane) = lanes.join_next().await {
        all.extend(lane??);
    }
    Ok(all)
}
