//! The ground that every other story stands on: pods run, Services answer, Envoy routes, load is counted, and the API
//! server can be taken away and brought back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::cluster::{ApiServer, Family};
use e2e::envoy::{Backend, Gateway, Istio};
use e2e::fixtures::ModelServers;
use e2e::images::{BaseImages, Program};
use e2e::load::{Ask, Client, Load};
use e2e::{Cluster, Kubectl, Progress, until};

const NAMESPACE: &str = "foundation";

#[tokio::test]
#[ignore = "needs the cluster: cargo xtask test"]
async fn pods_services_envoy_and_an_api_server_that_comes_and_goes() {
    let outcome = story().await;
    assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
}

async fn story() -> Result<()> {
    let progress = Progress::stdout();
    let cluster = Cluster::up(Family::Ipv4, &progress).await?;
    let base = BaseImages::built(cluster.tools(), &progress).await?;
    let sim = Program::built(&[Program::Sim], cluster.tools(), &progress).await?.remove(0);
    for image in [&base.envoy, &sim] {
        cluster.images().import(image).await?;
    }
    let kubectl = cluster.kubectl().await?;
    kubectl.create_namespace(NAMESPACE).await?;

    let servers = ModelServers::new("servers", 3, &sim.reference());
    let pods = progress.step("three model servers", servers.deploy(&kubectl, NAMESPACE)).await?;
    ensure!(pods.len() == 3, "{} pods", pods.len());

    // No picker is there: a gateway that fails open goes round robin.
    let dialect = Istio { fail_open: true, tracing: false };
    let backend = Backend::new(NAMESPACE, "no-picker", "servers");
    let deploy = Gateway::deploy(&kubectl, "gateway", &base.envoy, &dialect, &backend);
    let gateway = progress.step("an Envoy", deploy).await?;
    through_the_service(&kubectl).await?;

    let running = Load::new(&gateway.url()).per_second(100.0).streamed(0.5).start();
    let apiserver = cluster.apiserver();
    progress.step("the API server killed for 3 s", away(apiserver, async || apiserver.kill().await)).await?;
    progress.step("the API server frozen for 3 s", away(apiserver, async || apiserver.pause())).await?;
    let report = running.stop().await;
    progress.say(&report);
    ensure!(report.failures().count() == 0, "{report}");
    ensure!(report.by_pod().len() == 3, "round robin over all pods: {report}");

    let restarts = kubectl.restarts(NAMESPACE, "").await?;
    ensure!(restarts == 0, "{restarts} containers were restarted");
    progress.step("the cluster to catch up", cluster.caught_up()).await?;
    kubectl.delete_namespace(NAMESPACE).await
}

/// The ClusterIP of the gateway's Service answers too.
async fn through_the_service(kubectl: &Kubectl) -> Result<()> {
    let service = kubectl.api("v1", "Service", NAMESPACE).await?.get("gateway").await?;
    let address = service.data["spec"]["clusterIP"].as_str().context("a clusterIP")?.to_owned();
    let answer = until("an answer through the ClusterIP", Duration::from_secs(10), || async {
        let answer = Ask::new("hello").streamed().send(&Client::new(), &format!("http://{address}")).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(answer)
    });
    let answer = answer.await?;
    ensure!(answer.pod().is_some_and(|pod| pod.starts_with("servers-")), "served by {:?}", answer.pod());
    ensure!(answer.events > 1, "a stream of {} events", answer.events);
    Ok(())
}

/// Takes the API server away, sees that it is, and brings it back.
async fn away(apiserver: &ApiServer, take: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    take().await?;
    let until_when = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until_when {
        ensure!(apiserver.answers().await.is_err(), "the API server still answers");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    apiserver.start().await
}
