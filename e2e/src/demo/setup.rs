//! What is there when the curtain rises.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::acts;
use crate::envoy::{AiGateway, Gateway};
use crate::stage::{PATIENCE, Picker, Stage};

/// Pool, strategy and model servers all have this name.
pub const NAME: &str = "chat";
/// The pickers that must take up each edit.
pub const PICKERS: usize = 2;

/// Model servers, the last one a canary.
const SERVERS: usize = 4;

/// Qwen3-32B on two H100, as published, but with so little KV memory that no server can remember every prompt.
const ENGINE: [&str; 4] = ["--preset", "32b-2xh100", "--kv-blocks", "600"];

/// Everything that acts.
pub struct Scene {
    /// Where requests go.
    pub gateway: Gateway,
    /// The pickers.
    pub pickers: Vec<Picker>,
    /// The model servers' pods, each with what it is called in tables.
    pub servers: Vec<(String, String)>,
}

/// Sets the scene with the routing of the first act.
pub async fn set(stage: &Stage) -> Result<Scene> {
    let progress = stage.progress();
    let label = format!("deploying {SERVERS} simulated model servers");
    let pods = progress.step(label, stage.servers(NAME, SERVERS, &ENGINE)).await?;
    let servers = tracks(stage, &pods).await?;
    stage.pool(NAME).await?;
    let strategy = async {
        stage.apply(&acts::strategy(0)).await?;
        stage.strategy_is(NAME, "Ready=True", PATIENCE).await?;
        stage.pickers(NAME, PICKERS).await
    };
    let pickers = progress.step("applying the RoutingStrategy and waiting for Ready", strategy).await?;
    let dialect = AiGateway::default();
    let gateway = stage.gateway("gateway", &dialect, NAME);
    let gateway = progress.step("starting an Envoy as Envoy AI Gateway configures it", gateway).await?;
    Ok(Scene { gateway, pickers, servers })
}

/// Labels the last pod as the canary, the others as stable.
async fn tracks(stage: &Stage, pods: &[Pod]) -> Result<Vec<(String, String)>> {
    let api = Api::<Pod>::namespaced(stage.kubectl().client().clone(), stage.namespace());
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
