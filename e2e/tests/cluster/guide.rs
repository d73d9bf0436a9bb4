//! Row 7: the manifest of another project's guide, with only the image changed.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use e2e::envoy::{AiGateway, Backend, Gateway};
use e2e::fixtures::ModelServers;
use e2e::load::{Ask, Client, Load, Report};
use e2e::test_env::{self, PATIENCE, Picker, TestEnv};
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

/// The other routing that the ConfigMap is given: requests say themselves where they go.
const AS_NAMED: &str = "\
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: header-based-testing-filter
- type: random-picker
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: header-based-testing-filter
  - pluginRef: random-picker
";
/// The header in which they say so.
const NAMED: &str = "test-epp-endpoint-selection";

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn the_manifest_of_a_guide_works_with_only_the_image_changed() {
    let bar = "the EPP manifest of the Envoy AI Gateway guide, only its image changed, comes Ready and routes; an edit \
               of its ConfigMap changes the routing without a restart";
    test_env::run(7, bar, async |env| {
        let told = match told(env).await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(env.kubectl().report(NAMESPACE).await)),
        };
        let cleared = cleared(env).await;
        told.and(cleared)
    });
}

async fn told(env: &TestEnv) -> Result<()> {
    let kubectl = env.kubectl();
    let sim = env.cluster_env().images().sim.reference();
    let servers = ModelServers { port: PORT, ..ModelServers::new(SERVERS, 3, &sim) };
    let servers = servers.deploy(kubectl, NAMESPACE).await?;
    ensure!(GUIDE.matches(GUIDE_IMAGE).count() == 1, "one image is changed");
    let manifest = GUIDE.replace(GUIDE_IMAGE, &env.cluster_env().images().picker.reference());
    kubectl.apply(NAMESPACE, &manifest).await?;
    let applied = Instant::now();
    let pod = picker(env).await?;
    env.measured(format_args!("Ready {:.0} s after the apply", applied.elapsed().as_secs_f64()));

    let backend = Backend { port: PORT, ..Backend::new(NAMESPACE, PICKER, SERVERS) };
    let dialect = AiGateway::default();
    let (envoy, place) = (env.cluster_env().envoy(), env.namespace());
    let gateway = Gateway::deploy_in(kubectl, place, "gateway", envoy, &dialect, &backend).await?;
    let first = Ask::new("hello").send(&Client::new(), &gateway.url()).await?;
    let first = first.pod().context("a server of the first request")?.to_owned();
    let other = servers.iter().find(|server| server.name_any() != first).context("another server")?;
    let address = other.status.as_ref().and_then(|status| status.pod_ip.clone()).context("its address")?;
    let ask = Ask::new("").header(NAMED, &SocketAddr::new(address.parse()?, PORT).to_string());
    let load = Load::new(&gateway.url()).per_second(30.0).streamed(0.5).like(ask).start();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let edited = Instant::now();
    let delay = edit(env, &pod).await?;
    let live = Instant::now();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let report = load.stop().await;

    let warm = report.began + Duration::from_secs(2);
    let (by_prefix, as_named) = (report.between(warm, edited), report.between(live, Instant::now()));
    let failed = report.failures().count();
    let share = |part: &Report| {
        let there = part.by_pod().get(&other.name_any()).copied().unwrap_or_default();
        100.0 * there as f64 / part.total().max(1) as f64
    };
    let (before, after) = (share(&by_prefix), share(&as_named));
    let hits = by_prefix.hit_ratio();
    env.measured(format_args!("{} requests, {failed} failed", report.total()));
    env.measured(format_args!("live {delay:.1?} after the edit of the ConfigMap"));
    env.measured(format_args!(
        "by prefix, hit ratio {:.0} %; the server that requests name got {before:.0} %, {after:.0} % after the edit",
        hits * 100.0
    ));
    env.check(failed == 0, format_args!("no request failed: {report}"));
    env.check(hits >= 0.8, format_args!("requests go where their prefix is: {by_prefix}"));
    env.check(before < 80.0, format_args!("the name is ignored before: {:?}", by_prefix.by_pod()));
    env.check(after == 100.0, format_args!("and obeyed after the edit: {:?}", as_named.by_pod()));
    let now = picker(env).await?;
    env.check(state(&now) == state(&pod), "the picker was neither replaced nor restarted");
    Ok(())
}

/// The guide's one picker, Ready.
async fn picker(env: &TestEnv) -> Result<Pod> {
    let selector = format!("app={PICKER}");
    let pods = env.kubectl().ready_pods(NAMESPACE, &selector, 1, PATIENCE).await?;
    pods.into_iter().next().context("no picker")
}

/// Which pod it is, and how often it was started again.
fn state(pod: &Pod) -> (Option<String>, i32) {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    (pod.uid(), statuses.map(|status| status.restart_count).sum())
}

/// Edits the ConfigMap; gives back how long after that the picker routes by it, by its own record.
async fn edit(env: &TestEnv, pod: &Pod) -> Result<Duration> {
    let picker = Picker::of(pod)?;
    let former = picker.serving().await?.revision;
    let client = env.kubectl().client();
    let patch = Patch::Merge(json!({"data": {"default-plugins.yaml": AS_NAMED}}));
    let maps = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    maps.patch("plugins-config", &PatchParams::default(), &patch).await?;
    let edited = SystemTime::now();
    // The kubelet brings new content into a pod once a minute, and whenever the pod itself changes.
    let nudge = Patch::Merge(json!({"metadata": {"annotations": {"example.com/config": "as-named"}}}));
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    pods.patch(&pod.name_any(), &PatchParams::default(), &nudge).await?;
    let now = picker.swapped(&former, PATIENCE).await?;
    Ok(now.since.duration_since(edited).unwrap_or_default())
}

/// Takes away what the env does not: the guide's namespace is not its own.
async fn cleared(env: &TestEnv) -> Result<()> {
    let kubectl = env.kubectl();
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
