//! The strategy that this picker is assigned to. It begins with the one that it was started for; a pool may pass from
//! one strategy to another with its pickers, which go on with what they have learned. The label of their
//! Deployment says so.

use crds::names::{self, MANAGED_BY, MANAGED_BY_WAYPOST};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::watch;

use super::kube::StrategyRef;
use crate::metrics::Metrics;
use crate::watch::events::Events;
use crate::watch::pool::PoolRef;

/// How much of a Deployment's name the names of its pods begin with at least.
const KEPT_OF_A_NAME: usize = 40;

/// Name of the Deployment that `pod` is of, if the operator made it for `pool`.
pub fn deployment(pool: &PoolRef, pod: &str) -> Option<String> {
    let name = names::picker(pool.group, &pool.name);
    pod.starts_with(&name[..name.len().min(KEPT_OF_A_NAME)]).then_some(name)
}

/// Follows the Deployment called `name`, and tells which strategy it names. Never ends by itself.
pub async fn run(
    client: Client,
    name: &str,
    namespace: &str,
    metrics: &Metrics,
    strategy: watch::Sender<StrategyRef>,
) {
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let api = Api::<PartialObjectMeta<Deployment>>::namespaced(client, namespace);
    // Pods of an earlier release may not read it.
    let mut events = Events::of_optional(api, only, metrics, "deployment");
    loop {
        if let Event::InitApply(object) | Event::Apply(object) = events.next().await {
            assign(&strategy, &object.metadata);
        }
    }
}

/// Tells the strategy that a Deployment names, if it is another than before.
fn assign(strategy: &watch::Sender<StrategyRef>, deployment: &ObjectMeta) {
    let label = |name: &str| deployment.labels.as_ref()?.get(name);
    if label(MANAGED_BY).is_none_or(|by| by != MANAGED_BY_WAYPOST) {
        return;
    }
    let Some(name) = label(names::STRATEGY) else { return };
    strategy.send_if_modified(|assigned| {
        if assigned.name == *name {
            return false;
        }
        tracing::info!(before = assigned.name, strategy = name, "this picker follows another strategy now");
        assigned.name.clone_from(name);
        true
    });
}

#[cfg(test)]
mod tests;
