//! However a strategy is deleted, what serves stays until its pools are given back and gateways could follow; and what
//! nobody owns any more is taken over by a strategy of that name.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::envoy::AiGateway;
use e2e::load::{Load, Running};
use e2e::test_env::{self, PATIENCE, Strategy, TestEnv};
use e2e::until;
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::json;

/// How long pickers have to serve on at least after the deletion: a part of the operator's 30 s.
const SERVES_ON: Duration = Duration::from_secs(20);
const PICKERS: usize = 2;
const REFERENCE: &str = "/spec/endpointPickerRef/name";

fn strategy() -> Strategy {
    Strategy::new("chat").pool("chat").replicas(PICKERS)
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn pickers_outlive_their_strategy() {
    let bar = "a strategy deleted with --cascade=orphan and made again keeps its pods; one deleted in the foreground serves \
               on after its pools were given back, and leaves nothing: 0 failed requests";
    test_env::run(16, bar, async |env| {
        env.servers("chat", 2, &[]).await?;
        env.pool("chat").await?;
        env.apply(&strategy()).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let gateway = env.gateway("gateway", &AiGateway::default(), "chat").await?;
        let load = Load::new(&gateway.url()).per_second(20.0).streamed(0.5).start();
        tokio::time::sleep(Duration::from_secs(1)).await;

        orphaned(env).await?;
        in_the_foreground(env, &load).await?;
        let report = load.stop().await;
        let failed = report.failures().count();
        env.measured(format_args!("{} requests, {failed} failed", report.total()));
        env.check(failed == 0, format_args!("no request failed: {report}"));
        nothing_is_left(env).await
    });
}

async fn deleted(env: &TestEnv, policy: PropagationPolicy) -> Result<()> {
    let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
    env.strategy_api().await?.delete("chat", &params).await?;
    Ok(())
}

/// The pods of the pickers, each with its number of restarts.
async fn pods(env: &TestEnv) -> Result<BTreeMap<String, i32>> {
    env.starts(&env.picker_selector("chat")).await
}

/// Waits until the pool names `picker`.
async fn refers_to(env: &TestEnv, picker: &str) -> Result<()> {
    let pools = env.kubectl().api("inference.networking.k8s.io/v1", "InferencePool", env.namespace()).await?;
    until(format_args!("the pool to name {picker}"), PATIENCE, async || {
        let pool = pools.get("chat").await?;
        ensure!(pool.data.pointer(REFERENCE) == Some(&json!(picker)), "{}", pool.data["spec"]);
        Ok(())
    })
    .await
}

async fn is_gone(env: &TestEnv) -> Result<()> {
    let strategies = env.strategy_api().await?;
    until("the strategy to go", PATIENCE, async || {
        ensure!(strategies.get_opt("chat").await?.is_none(), "it is there still");
        Ok(())
    })
    .await
}

async fn orphaned(env: &TestEnv) -> Result<()> {
    let before = pods(env).await?;
    deleted(env, PropagationPolicy::Orphan).await?;
    is_gone(env).await?;
    refers_to(env, "chat-epp").await?;
    env.apply(&strategy()).await?;
    env.strategy_is("chat", "Ready=True", PATIENCE).await?;
    refers_to(env, "chat-picker").await?;
    let after = pods(env).await?;
    env.check(before == after, format_args!("the pods are the same: {before:?}, {after:?}"));
    Ok(())
}

async fn in_the_foreground(env: &TestEnv, load: &Running) -> Result<()> {
    let before = pods(env).await?;
    deleted(env, PropagationPolicy::Foreground).await?;
    refers_to(env, "chat-epp").await?;
    let asked = load.total();
    tokio::time::sleep(SERVES_ON).await;
    let after = pods(env).await?;
    env.check(before == after, format_args!("all pickers serve on for {SERVES_ON:?}: {before:?}, {after:?}"));
    env.check(load.total() > asked, "there was load meanwhile");
    Ok(())
}

async fn nothing_is_left(env: &TestEnv) -> Result<()> {
    is_gone(env).await?;
    for (api_version, kind) in
        [("apps/v1", "Deployment"), ("v1", "Service"), ("apps/v1", "ControllerRevision")]
    {
        let api = env.kubectl().api(api_version, kind, env.namespace()).await?;
        let made = kube::api::ListParams::default().labels("app.kubernetes.io/managed-by=waypost");
        let left = api.list(&made).await?.items.len();
        env.check(left == 0, format_args!("{left} of {kind} are left"));
    }
    Ok(())
}
