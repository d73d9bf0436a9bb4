//! A strategy that is renamed, as GitOps tools do it: the new one is made, and then the old one is deleted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::envoy::AiGateway;
use e2e::load::{Load, Prompts};
use e2e::test_env::{self, PATIENCE, Strategy, TestEnv};
use e2e::until;
use kube::api::DeleteParams;

const PICKERS: usize = 2;
/// How long the hit ratio is looked at on each side of the change.
const WINDOW: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

fn strategy(name: &str, weight: f64) -> Strategy {
    let scorers = [("queue-scorer", 1.0), ("prefix-cache-scorer", weight)];
    Strategy::new(name).pool("chat").replicas(PICKERS).scorers(&scorers)
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn a_renamed_strategy_keeps_its_pickers() {
    let bar = "a strategy renamed under load: its pool never names another picker, its pickers go on with what they have \
               learned and follow the new one, 0 failed requests";
    test_env::run(18, bar, async |env| {
        env.servers("chat", 4, &[]).await?;
        env.pool("chat").await?;
        env.apply(&strategy("chat", 3.0)).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let pickers = env.pickers("chat", PICKERS).await?;
        let gateway = env.gateway("gateway", &AiGateway::default(), "chat").await?;
        let prompts = Prompts::families(32, 384, 16);
        let load = Load::new(&gateway.url()).per_second(50.0).streamed(0.5).prompts(prompts).start();
        tokio::time::sleep(2 * WINDOW).await;
        let pods = env.starts(&env.picker_selector("chat")).await?;

        let named = Arc::new(Mutex::new(BTreeSet::new()));
        let change = Instant::now();
        let outcome = tokio::select! {
            outcome = renamed(env) => outcome,
            outcome = watch(env, named.clone()) => outcome,
        };
        outcome?;
        let took = change.elapsed();
        tokio::time::sleep(WINDOW).await;
        let report = load.stop().await;

        let after = env.starts(&env.picker_selector("chat")).await?;
        let named = named.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failed = report.failures().count();
        let before = report.between(change - WINDOW, change).hit_ratio();
        let later = report.between(change + took, change + took + WINDOW).hit_ratio();
        env.measured(format_args!(
            "handed over within {took:.1?}; {} requests, {failed} failed; hit ratio {:.1} % and {:.1} %",
            report.total(),
            before * 100.0,
            later * 100.0
        ));
        env.check(failed == 0, format_args!("no request failed: {report}"));
        env.check(
            named == BTreeSet::from(["chat-picker".to_owned()]),
            format_args!("the pool names {named:?}"),
        );
        env.check(pods == after, format_args!("the pods are the same: {pods:?}, {after:?}"));
        env.check(before > 0.5 && (before - later).abs() <= 0.05, "what was learned stays");

        // They follow the new one.
        let former = pickers[0].serving().await?;
        env.apply(&strategy("talk", 1.0)).await?;
        for picker in &pickers {
            picker.swapped(&former.revision, Duration::from_secs(10)).await?;
        }
        Ok(())
    });
}

/// Makes the strategy under its new name, deletes the old one, and waits until the new one has all.
async fn renamed(env: &TestEnv) -> Result<()> {
    env.apply(&strategy("talk", 3.0)).await?;
    let strategies = env.strategy_api().await?;
    strategies.delete("chat", &DeleteParams::default()).await?;
    until("the old strategy to go", PATIENCE, async || {
        anyhow::ensure!(strategies.get_opt("chat").await?.is_none(), "it is there still");
        Ok(())
    })
    .await?;
    env.strategy_is("talk", "Ready=True", PATIENCE).await
}

/// Notes which pickers the pool names. Never ends but by an error.
async fn watch(env: &TestEnv, named: Arc<Mutex<BTreeSet<String>>>) -> Result<()> {
    let pools = env.kubectl().api("inference.networking.k8s.io/v1", "InferencePool", env.namespace()).await?;
    loop {
        let pool = pools.get("chat").await?;
        let name = pool.data["spec"]["endpointPickerRef"]["name"].as_str().unwrap_or_default().to_owned();
        named.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        tokio::time::sleep(LOOK).await;
    }
}
