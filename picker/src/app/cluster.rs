//! The tasks that follow the cluster, and those that do without one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::time::timeout;
use tower::BoxError;
use tower::util::MapFutureLayer;

use super::Tasks;
use crate::args::ServeArgs;
use crate::metrics::Metrics;
use crate::source::kube::{Stored, StrategyRef};
use crate::source::{self, Desk, discovery};
use crate::status;
use crate::watch::pool::{Members, PoolRef, PoolState};
use crate::watch::{Wanted, pods, pool};

/// The longest that the API server may take to begin an answer. One that fell off the network would be
/// waited for until TCP gives up, which takes a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client for the cluster that the process runs in or that a kubeconfig names; `None` when no flag asks
/// for a cluster. The API server need not answer yet.
pub(super) async fn client(args: &ServeArgs) -> Result<Option<Client>> {
    let asked = args.strategy.is_some()
        || args.pool_name.is_some()
        || args.endpoint_selector.is_some()
        || args.metrics_endpoint_auth;
    if !asked {
        return Ok(None);
    }
    match Config::infer().await {
        Ok(mut config) => {
            // Watches and reports try again by their own rules. The client's, on top of them, would keep an
            // edit waiting for many seconds after the API server is back.
            config.default_retry = false;
            Ok(Some(patient(config).context("cannot make a client for the cluster")?))
        }
        // Manifests for file-discovery name a pool, too: only who needs the cluster fails, later.
        Err(error) if args.strategy.is_none() && !args.metrics_endpoint_auth => {
            tracing::warn!(%error, "there is no cluster");
            Ok(None)
        }
        Err(error) => Err(error).context("there is no cluster to follow; set KUBECONFIG, or run in a pod"),
    }
}

/// A client whose every request fails when its answer doesn't begin in time. A watch, once begun, goes on.
fn patient(config: Config) -> kube::Result<Client> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&MapFutureLayer::new(in_time)).build())
}

async fn in_time<T>(answer: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    timeout(PATIENCE, answer).await?
}

/// Follows the RoutingStrategy, and reports what is served into its status.
pub(super) fn follow_strategy(
    client: Client,
    strategy: StrategyRef,
    desk: &Arc<Desk>,
    metrics: &Arc<Metrics>,
    tasks: &mut Tasks,
) {
    let stored = watch::Sender::<Stored>::default();
    let (seen, installed) = (stored.subscribe(), desk.installed());
    match pod_name() {
        Some(pod) => {
            let (client, strategy, metrics) = (client.clone(), strategy.clone(), metrics.clone());
            tasks.spawn(async move {
                status::run(client, strategy, &pod, installed, seen, &metrics).await;
                "reporting"
            });
        }
        None => tracing::warn!("neither POD_NAME nor HOSTNAME is set: nothing is reported"),
    }
    let (desk, metrics) = (desk.clone(), metrics.clone());
    tasks.spawn(async move {
        source::kube::run(client, strategy, &desk, &metrics, stored).await;
        "following the strategy"
    });
}

/// The name of this pod: by the downward API, or as its host name.
fn pod_name() -> Option<String> {
    ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty())
}

/// Starts what finds the endpoints: the file that the strategy names, or the pods of the cluster.
pub(super) fn find_endpoints(
    args: &ServeArgs,
    client: Option<Client>,
    desk: &Desk,
    metrics: &Arc<Metrics>,
    wanted: watch::Sender<Wanted>,
    tasks: &mut Tasks,
) -> Result<()> {
    let by_cluster = args.pool_name.is_some() || args.endpoint_selector.is_some();
    if desk.installed().borrow().discovery.is_some() || !by_cluster {
        if desk.installed().borrow().revision.is_some() && desk.installed().borrow().discovery.is_none() {
            bail!(
                "there are no endpoints: name a pool with --pool-name, pods with --endpoint-selector, or a \
                 file-discovery plugin in the configuration's dataLayer.discovery"
            );
        }
        let installed = desk.installed();
        tasks.spawn(async move {
            discovery::run(installed, wanted).await;
            "reading endpoints from a file"
        });
        return Ok(());
    }
    let client = client
        .context("--pool-name and --endpoint-selector need a cluster; set KUBECONFIG, or run in a pod")?;
    let members = watch::Sender::new(PoolState::Unknown);
    let follow = members.subscribe();
    match (&args.pool_name, &args.endpoint_selector) {
        (Some(name), _) => {
            let (client, metrics) = (client.clone(), metrics.clone());
            let pool = PoolRef {
                group: args.pool_group,
                namespace: args.namespace().to_owned(),
                name: name.clone(),
            };
            tasks.spawn(async move {
                pool::run(client, pool, &metrics, members).await;
                "following the pool"
            });
        }
        (None, selector) => {
            let selector = selector.clone().unwrap_or_default();
            let ports = args.endpoint_target_ports.iter().copied().take(pool::MOST_PORTS).collect();
            members.send_replace(PoolState::Present(Members { selector, ports }));
            tasks.spawn(async move {
                // Nothing changes them, and their receiver wants a sender.
                members.closed().await;
                "the fixed selector"
            });
        }
    }
    let (metrics, namespace) = (metrics.clone(), args.namespace().to_owned());
    tasks.spawn(async move {
        pods::run(client, &namespace, follow, &metrics, wanted).await;
        "following the pods"
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::Api;
    use kube::api::ListParams;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_never_answers_is_given_up() {
        // Connections are made, and nobody takes them.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let api: Api<Pod> = Api::namespaced(patient(Config::new(server.parse().unwrap())).unwrap(), "llm");
        let (began, all) = (Instant::now(), ListParams::default());
        let failed =
            timeout(Duration::from_secs(3600), api.list(&all)).await.expect("it gives up").unwrap_err();
        assert!(matches!(failed, kube::Error::Service(_)), "{failed:?}");
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    }
}
