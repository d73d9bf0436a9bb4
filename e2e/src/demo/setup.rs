//! The setup of the demo: model servers, a pool, a strategy with its pickers, and an Envoy.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::strategies::{self, NAME, PICKERS};
use crate::envoy::{AiGateway, Gateway};
use crate::test_env::{PATIENCE, Picker, TestEnv};

/// The number of model servers; the last one is a canary.
const SERVERS: usize = 4;

/// Qwen3-32B on two H100, as published, but with so little KV memory that no server can remember every prompt.
const ENGINE: [&str; 4] = ["--preset", "32b-2xh100", "--kv-blocks", "600"];

/// What the demo runs with.
pub struct Setup {
    /// Where requests go.
    pub gateway: Gateway,
    /// The pickers.
    pub pickers: Vec<Picker>,
    /// The model servers' pods, each with what it is called in tables.
    pub servers: Vec<(String, String)>,
}

/// Deploys everything, with the routing of the first phase.
pub async fn deploy(env: &TestEnv) -> Result<Setup> {
    let progress = env.progress();
    let label = format!("deploying {SERVERS} simulated model servers");
    let pods = progress.step(label, env.servers(NAME, SERVERS, &ENGINE)).await?;
    let servers = tracks(env, &pods).await?;
    env.pool(NAME).await?;
    let strategy = async {
        env.apply(&strategies::strategy(0)).await?;
        env.strategy_is(NAME, "Ready=True", PATIENCE).await?;
        env.pickers(NAME, PICKERS).await
    };
    let pickers = progress.step("applying the RoutingStrategy and waiting for Ready", strategy).await?;
    let dialect = AiGateway::default();
    let gateway = env.gateway("gateway", &dialect, NAME);
    let gateway = progress.step("starting an Envoy as Envoy AI Gateway configures it", gateway).await?;
    Ok(Setup { gateway, pickers, servers })
}

/// Labels the last pod as the canary, the others as stable.
async fn tracks(env: &TestEnv, pods: &[Pod]) -> Result<Vec<(String, String)>> {
    let api = Api::<Pod>::namespaced(env.kubectl().client().clone(), env.namespace());
    let mut servers = Vec::new();
    for (number, pod) in pods.iter().enumerate() {
        let track = if number + 1 == pods.len() { "canary" } else { "stable" };
        let patch = Patch::Merge(json!({"metadata": {"labels": {"track": track}}}));
        let name = pod.name_any();
        let labelled = api.patch(&name, &PatchParams::default(), &patch).await;
        labelled.with_context(|| format!("labelling pod {name}"))?;
        servers.push((name.clone(), format!("{name} ({track})")));
    }
    Ok(servers)
}
