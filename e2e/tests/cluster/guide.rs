//! Row 7: the manifest of somebody else's guide, with only the image changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use e2e::envoy::{AiGateway, Backend, Gateway};
use e2e::fixtures::ModelServers;
use e2e::load::{Load, Prompts, Report};
use e2e::stage::{self, PATIENCE, Picker, Stage};
use e2e::until;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

const GUIDE: &str = include_str!("../../manifests/ai-gateway-guide.yaml");
const GUIDE_IMAGE: &str = "registry.k8s.io/gateway-api-inference-extension/epp:v1.0.1";
/// The guide's namespace.
const NAMESPACE: &str = "default";
/// The guide's picker, Service and `app` label alike.
const PICKER: &str = "mistral-epp";
/// The guide's model servers, in whose place simulated ones stand.
const SERVERS: &str = "mistral-upstream";
const PORT: u16 = 8080;

/// The other routing that the ConfigMap is given.
const AT_RANDOM: &str = "\
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: random-picker
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: random-picker
";

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn the_manifest_of_a_guide_works_with_only_the_image_changed() {
    let bar = "the EPP manifest of the Envoy AI Gateway guide, only its image changed, comes Ready and routes; an edit \
               of its ConfigMap changes the routing without a restart";
    stage::play(7, bar, async |stage| {
        let told = match told(stage).await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(stage.kubectl().report(NAMESPACE).await)),
        };
        let cleared = cleared(stage).await;
        told.and(cleared)
    });
}

async fn told(stage: &Stage) -> Result<()> {
    let kubectl = stage.kubectl();
    let sim = stage.ground().images().sim.reference();
    let servers = ModelServers { port: PORT, ..ModelServers::new(SERVERS, 3, &sim) };
    let servers = servers.deploy(kubectl, NAMESPACE).await?;
    ensure!(GUIDE.matches(GUIDE_IMAGE).count() == 1, "one image is changed");
    let manifest = GUIDE.replace(GUIDE_IMAGE, &stage.ground().images().picker.reference());
    kubectl.apply(NAMESPACE, &manifest).await?;
    let applied = Instant::now();
    let pod = picker(stage).await?;
    stage.measured(format_args!("Ready {:.0} s after the apply", applied.elapsed().as_secs_f64()));

    let backend = Backend { port: PORT, ..Backend::new(NAMESPACE, PICKER, SERVERS) };
    let dialect = AiGateway::default();
    let (envoy, place) = (stage.ground().envoy(), stage.namespace());
    let gateway = Gateway::deploy_in(kubectl, place, "gateway", envoy, &dialect, &backend).await?;
    // One family: by their prefix, all go to one server.
    let prompts = Prompts::families(1, 256, 8);
    let load = Load::new(&gateway.url()).per_second(30.0).streamed(0.5).prompts(prompts).start();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let edited = Instant::now();
    let delay = edit(stage, &pod).await?;
    let live = Instant::now();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let report = load.stop().await;

    let warm = report.began + Duration::from_secs(1);
    let (by_prefix, at_random) = (report.between(warm, edited), report.between(live, Instant::now()));
    let failed = report.failures().count();
    let (most, least) = (shares(&by_prefix, servers.len()).1, shares(&at_random, servers.len()).0);
    stage.measured(format_args!("{} requests, {failed} failed", report.total()));
    stage.measured(format_args!("live {delay:.1?} after the edit of the ConfigMap"));
    stage.measured(format_args!(
        "one server's share of one prefix {:.0} %; at random, the least {:.0} %",
        most * 100.0,
        least * 100.0
    ));
    stage.bar(failed == 0, format_args!("no request failed: {report}"));
    stage.bar(most >= 0.9, format_args!("one prefix goes to one server: {:?}", by_prefix.by_pod()));
    stage.bar(least >= 0.2, format_args!("the edit spreads it: {:?}", at_random.by_pod()));
    let now = picker(stage).await?;
    stage.bar(state(&now) == state(&pod), "the picker was neither replaced nor restarted");
    Ok(())
}

/// The guide's one picker, Ready.
async fn picker(stage: &Stage) -> Result<Pod> {
    let selector = format!("app={PICKER}");
    let pods = stage.kubectl().ready_pods(NAMESPACE, &selector, 1, PATIENCE).await?;
    pods.into_iter().next().context("no picker")
}

/// Which pod it is, and how often it was started again.
fn state(pod: &Pod) -> (Option<String>, i32) {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    (pod.uid(), statuses.map(|status| status.restart_count).sum())
}

/// The smallest and the largest share of `servers` servers.
fn shares(report: &Report, servers: usize) -> (f64, f64) {
    let counts: BTreeMap<String, usize> = report.by_pod();
    let share = |count: Option<&usize>| *count.unwrap_or(&0) as f64 / report.total().max(1) as f64;
    let least = if counts.len() < servers { 0.0 } else { share(counts.values().min()) };
    (least, share(counts.values().max()))
}

/// Edits the ConfigMap; gives back how long after that the picker routes by it, by its own record.
async fn edit(stage: &Stage, pod: &Pod) -> Result<Duration> {
    let picker = Picker::of(pod)?;
    let former = picker.serving().await?.revision;
    let client = stage.kubectl().client();
    let patch = Patch::Merge(json!({"data": {"default-plugins.yaml": AT_RANDOM}}));
    let maps = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    maps.patch("plugins-config", &PatchParams::default(), &patch).await?;
    let edited = SystemTime::now();
    // The kubelet brings new content into a pod once a minute, and whenever the pod itself changes.
    let nudge = Patch::Merge(json!({"metadata": {"annotations": {"example.com/config": "at-random"}}}));
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    pods.patch(&pod.name_any(), &PatchParams::default(), &nudge).await?;
    let now = picker.swapped(&former, PATIENCE).await?;
    Ok(now.since.duration_since(edited).unwrap_or_default())
}

/// Takes away what the stage does not: the guide's namespace is not its own.
async fn cleared(stage: &Stage) -> Result<()> {
    let kubectl = stage.kubectl();
    kubectl.delete(NAMESPACE, GUIDE).await?;
    for (api_version, kind) in [("apps/v1", "Deployment"), ("v1", "Service")] {
        let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": SERVERS}});
        kubectl.delete(NAMESPACE, &object.to_string()).await?;
    }
    let selector = format!("app in ({PICKER}, {SERVERS})");
    until("the end of the guide's pods", PATIENCE, || async {
        let pods = kubectl.pods(NAMESPACE, &selector).await?;
        for pod in &pods {
            kubectl.delete_pod(NAMESPACE, &pod.name_any(), Some(0)).await?;
        }
        ensure!(pods.is_empty(), "{} are left", pods.len());
        Ok(())
    })
    .await
}
