//! The tasks that follow the cluster: the RoutingStrategy, the InferencePool and its pods.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use kube::Client;
use tokio::sync::watch;

use super::tasks::Tasks;
use super::{api, api_config};
use crate::args::ServeArgs;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::source::kube::{Stored, StrategyRef};
use crate::source::replicas::Replicas;
use crate::source::{self, Installer, Source, assignment, discovery};
use crate::status;
use crate::watch::pool::{Members, PoolRef, PoolState};
use crate::watch::{Wanted, model_rules, objectives, pods, pool};

/// A client for the cluster that the process runs in, or else that a kubeconfig names; `None` when no flag asks
/// for a cluster. The API server need not answer yet.
pub(super) async fn client(args: &ServeArgs) -> Result<Option<Client>> {
    let asked = args.strategy.is_some()
        || args.pool_name.is_some()
        || args.endpoint_selector.is_some()
        || args.metrics_endpoint_auth;
    if !asked {
        return Ok(None);
    }
    match api_config::find().await {
        Ok(config) => Ok(Some(api::client(config).context("cannot make a client for the cluster")?)),
        // Manifests for file-discovery name a pool, too: only who needs the cluster fails, later.
        Err(error) if args.strategy.is_none() && !args.metrics_endpoint_auth => {
            tracing::warn!(%error, "there is no cluster");
            Ok(None)
        }
        Err(error) => Err(error).context("there is no cluster to follow"),
    }
}

/// Follows the RoutingStrategy, reports what is served into its status, and tells by `replicas` how many pickers do so.
/// With another strategy that its Deployment comes to name it does the same.
pub(super) fn follow_strategy(
    client: Client,
    strategy: StrategyRef,
    pool: Option<PoolRef>,
    installer: &Arc<Installer>,
    metrics: &Arc<Metrics>,
    replicas: watch::Sender<u32>,
    tasks: &mut Tasks,
) {
    let replicas = Replicas::new(pod_name(), replicas);
    let assigned = watch::Sender::new(strategy);
    let (mut followed, mut reported) = (assigned.subscribe(), assigned.subscribe());
    let deployment = pool
        .zip(pod_name())
        .and_then(|(pool, pod)| Some((assignment::deployment(&pool, &pod)?, pool.namespace)));
    match deployment {
        Some((deployment, namespace)) => {
            let (client, metrics) = (client.clone(), metrics.clone());
            tasks.spawn(async move {
                assignment::run(client, &deployment, &namespace, &metrics, assigned).await;
                "following the Deployment"
            });
        }
        None => {
            tasks.spawn(async move {
                // Nothing changes it, and its receivers want a sender.
                assigned.closed().await;
                "the fixed strategy"
            });
        }
    }
    let stored = watch::Sender::<Stored>::default();
    let (seen, serving) = (stored.subscribe(), installer.serving());
    match pod_name() {
        Some(pod) => {
            let (client, metrics) = (client.clone(), metrics.clone());
            tasks.spawn(async move {
                loop {
                    let strategy = reported.borrow_and_update().clone();
                    let report =
                        status::run(client.clone(), strategy, &pod, serving.clone(), seen.clone(), &metrics);
                    tokio::select! {
                        () = report => return "reporting",
                        changed = reported.changed() => if changed.is_err() { return "reporting" },
                    }
                }
            });
        }
        None => tracing::warn!("neither POD_NAME nor HOSTNAME is set: nothing is reported"),
    }
    let (installer, metrics) = (installer.clone(), metrics.clone());
    tasks.spawn(async move {
        loop {
            let strategy = followed.borrow_and_update().clone();
            let follow =
                source::kube::run(client.clone(), strategy, &installer, &metrics, &stored, &replicas);
            tokio::select! {
                () = follow => {}
                changed = followed.changed() => if changed.is_err() { return "following the strategy" },
            }
            // What is known of the former one says nothing about this.
            stored.send_replace(Stored::default());
        }
    });
}

/// The name of this pod: by the downward API, or as its host name.
fn pod_name() -> Option<String> {
    ["POD_NAME", "HOSTNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty())
}

/// Follows the InferenceObjectives, InferenceModelRewrites and InferenceModels of the pool. Without a pool there are none.
pub(super) fn follow_policies(
    args: &ServeArgs,
    client: Option<&Client>,
    metrics: &Arc<Metrics>,
    policies: &Policies,
    tasks: &mut Tasks,
) {
    let (Some(client), Some(pool)) = (client, pool_ref(args)) else { return };
    let Policies { priorities, rules } = policies.clone();
    let (own, of_pool, told) = (client.clone(), pool.clone(), metrics.clone());
    tasks.spawn(async move {
        objectives::run(own, of_pool, &told, priorities).await;
        "following the objectives"
    });
    let (client, metrics) = (client.clone(), metrics.clone());
    tasks.spawn(async move {
        model_rules::run(client, pool, &metrics, rules).await;
        "following the rules of models"
    });
}

/// The pool that the flags name.
pub(super) fn pool_ref(args: &ServeArgs) -> Option<PoolRef> {
    let name = args.pool_name.clone()?;
    Some(PoolRef { group: args.pool_group, namespace: args.namespace().to_owned(), name })
}

/// Starts the tasks that find the endpoints, in the file that the strategy names or among the pods of the cluster.
pub(super) fn find_endpoints(
    args: &ServeArgs,
    client: Option<Client>,
    installer: &Installer,
    metrics: &Arc<Metrics>,
    wanted: watch::Sender<Wanted>,
    tasks: &mut Tasks,
) -> Result<()> {
    let by_cluster = args.pool_name.is_some() || args.endpoint_selector.is_some();
    if installer.settle(by_cluster) == Source::File {
        if installer.serving().borrow().revision.is_some() && installer.serving().borrow().discovery.is_none()
        {
            bail!(
                "there are no endpoints: name a pool with --pool-name, pods with --endpoint-selector, or a \
                 file-discovery plugin in the configuration's dataLayer.discovery"
            );
        }
        let serving = installer.serving();
        tasks.spawn(async move {
            discovery::run(serving, wanted).await;
            "reading endpoints from a file"
        });
        return Ok(());
    }
    let client = client
        .context("--pool-name and --endpoint-selector need a cluster; set KUBECONFIG, or run in a pod")?;
    let members = watch::Sender::new(PoolState::Unknown);
    let follow = members.subscribe();
    match (pool_ref(args), &args.endpoint_selector) {
        (Some(pool), _) => {
            let (client, metrics) = (client.clone(), metrics.clone());
            tasks.spawn(async move {
                pool::run(client, pool, &metrics, members).await;
                "following the pool"
            });
        }
        (None, selector) => {
            let selector = selector.clone().unwrap_or_default();
            let ports = args.target_ports().map_err(anyhow::Error::msg)?;
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
