//! Row 4: requests and edits while the API server and the operator are away.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use e2e::cluster::ApiServer;
use e2e::envoy::AiGateway;
use e2e::load::Load;
use e2e::test_env::{self, PATIENCE, Picker, Strategy, TestEnv};
use e2e::until;
use futures::future::try_join_all;

const PICKERS: usize = 2;
const RATE: f64 = 100.0;
const AWAY: Duration = Duration::from_secs(60);
/// How soon after its return an edit must be live.
const LIVE: Duration = Duration::from_secs(5);

/// How the API server is taken away.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Connections are reset, and new ones refused.
    Killed,
    /// Connections stay open, and nothing answers.
    Stopped,
}

fn edit(number: usize) -> Strategy {
    let weight = 1.0 + number as f64;
    Strategy::new("chat")
        .pool("chat")
        .replicas(PICKERS)
        .scorers(&[("queue-scorer", weight), ("prefix-cache-scorer", 3.0)])
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn the_api_server_and_the_operator_are_away() {
    let bar = "API server away for 60 s under load, killed and SIGSTOPped, no operator: 0 failed requests, an edit \
               live within 5 s of its return";
    test_env::run(4, bar, async |env| {
        env.servers("chat", 4, &[]).await?;
        env.pool("chat").await?;
        env.apply(&edit(0)).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let pickers = env.pickers("chat", PICKERS).await?;
        let gateway = env.gateway("gateway", &AiGateway::default(), "chat").await?;
        let before = env.starts("").await?;
        let load = Load::new(&gateway.url()).per_second(RATE).streamed(0.5).start();

        env.without_operator(async || {
            let told = without(env, &pickers).await;
            // Whatever came of it: the operator's return needs it, and so do other stories.
            back(env.cluster_env().cluster().apiserver()).await?;
            told
        })
        .await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let accepted = env.strategy("chat").await?.data["status"]["revision"].clone();
        let serving = try_join_all(pickers.iter().map(Picker::serving)).await?;
        env.check(
            serving.iter().all(|serving| accepted == *serving.revision),
            format_args!("the last edit is accepted and serves: {accepted} and {serving:?}"),
        );

        let report = load.stop().await;
        let restarts = env::restarts(&before, &env.starts("").await?);
        let failed = report.failures().count();
        env.measured(format_args!("{} requests, {failed} failed, {restarts} restarts", report.total()));
        env.check(failed == 0, format_args!("no request failed: {report}"));
        env.check(report.by_pod().len() == 4, "every model server served");
        env.check(restarts == 0, "nothing was restarted");
        Ok(())
    });
}

/// Takes the API server away both ways, with an edit at each return.
async fn without(env: &TestEnv, pickers: &[Picker]) -> Result<()> {
    let apiserver = env.cluster_env().cluster().apiserver();
    for (number, way) in [Way::Killed, Way::Stopped].into_iter().enumerate() {
        let former = pickers[0].serving().await?.revision;
        env.progress().say(format_args!("the API server is {way:?} for {} s", AWAY.as_secs()));
        let returned = away(apiserver, way).await?;
        let next = edit(number + 1);
        let edited = until("the API server to take an edit", LIVE, || env.apply(&next)).await?;
        let swaps = pickers.iter().map(|picker| picker.swapped(&former, 4 * LIVE));
        let swaps = try_join_all(swaps).await?;
        let last = swaps.iter().map(|serving| serving.since).max().context("no pickers")?;
        let live = last.duration_since(returned).unwrap_or_default();
        let of_which = last.duration_since(edited.returned).unwrap_or_default();
        env.measured(format_args!(
            "{way:?}: live {live:.1?} after the return, {of_which:.1?} after the edit"
        ));
        env.check(
            live <= LIVE,
            format_args!("{way:?}: an edit is live within 5 s of the return, not {live:?}"),
        );
        // Each absence begins from a cluster that has recovered from the one before.
        env.cluster_env().cluster().caught_up().await?;
    }
    Ok(())
}

/// Takes the API server away, sees that it is for as long as it should, and gives back when it returned: when it was
/// let go on, or when the new one answered.
async fn away(apiserver: &ApiServer, way: Way) -> Result<SystemTime> {
    match way {
        Way::Killed => apiserver.kill().await?,
        Way::Stopped => apiserver.pause()?,
    }
    let gone = Instant::now();
    while gone.elapsed() < AWAY {
        ensure!(apiserver.answers().await.is_err(), "the API server still answers");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let resumed = SystemTime::now();
    back(apiserver).await?;
    Ok(match way {
        Way::Killed => SystemTime::now(),
        Way::Stopped => resumed,
    })
}

async fn back(apiserver: &ApiServer) -> Result<()> {
    if apiserver.alive() {
        apiserver.resume()?;
    }
    apiserver.start().await
}
