//! Edits of the strategy under load.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::load::Load;
use e2e::test_env::{Picker, Strategy};
use futures::future::try_join_all;

use super::setup::{PICKERS, Setup, named_by_the_client};

const EDITS: usize = 6;
/// Requests a second, half of them streamed.
const RATE: f64 = 60.0;
const PAUSE: Duration = Duration::from_secs(2);

/// No request fails, and none is served elsewhere than picked.
pub async fn lose_nothing(setup: &Setup<'_>) -> Result<()> {
    // No request of the load names an endpoint.
    change(setup, &edit(EDITS)).await?;
    let (routed, mismatches) = (setup.routed().await?, setup.mismatches().await?);
    let load = Load::new(&setup.gateway.url()).per_second(RATE).streamed(0.5).start();
    let outcome = edited(setup).await;
    let report = load.stop().await;
    change(setup, &named_by_the_client()).await?;
    outcome?;
    let failed = report.failures().count();
    let (routed, mismatches) = (setup.routed().await? - routed, setup.mismatches().await? - mismatches);
    setup.env.measured(format_args!("{EDITS} edits, {} requests, {failed} failed", report.total()));
    ensure!(failed == 0, "{report}");
    ensure!(routed == report.total() as f64, "{routed} of {} were picked", report.total());
    ensure!(mismatches == 0.0, "{mismatches} were served elsewhere than picked");
    ensure!(report.by_pod().len() >= setup.servers.len(), "only {:?} served", report.by_pod());
    Ok(())
}

async fn edited(setup: &Setup<'_>) -> Result<()> {
    for number in 0..EDITS {
        tokio::time::sleep(PAUSE).await;
        change(setup, &edit(number)).await?;
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// Applies a strategy, and waits until each picker routes by it.
async fn change(setup: &Setup<'_>, strategy: &Strategy) -> Result<()> {
    let former = try_join_all(setup.pickers.iter().map(Picker::serving)).await?;
    setup.env.apply(strategy).await?;
    let swaps = setup.pickers.iter().zip(&former);
    let swaps = swaps.map(|(picker, former)| picker.swapped(&former.revision, Duration::from_secs(10)));
    try_join_all(swaps).await.map(drop)
}

/// Always other weights, and every other time another set of scorers.
fn edit(number: usize) -> Strategy {
    let mut scorers = vec![("queue-scorer", 1.0 + number as f64), ("prefix-cache-scorer", 3.0)];
    if number % 2 == 1 {
        scorers.push(("kv-cache-utilization-scorer", 1.0));
    }
    Strategy::new("chat").pool("chat").replicas(PICKERS).scorers(&scorers)
}
