//! A recorder of every state of pools, Services and Deployments, in the order in which the API server stored them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{Kubectl, until};

const KINDS: [(&str, &str); 3] =
    [("inference.networking.k8s.io/v1", "InferencePool"), ("v1", "Service"), ("apps/v1", "Deployment")];
/// Objects of this name are the last of their kind that a recorder looks at.
const LAST: &str = "last";

/// Watches a namespace until dropped.
#[derive(Debug)]
pub struct HistoryRecorder {
    namespace: String,
    seen: Arc<Mutex<Vec<State>>>,
    _watches: JoinSet<()>,
}

/// One state of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// Revision of the store. One counter counts for all kinds, so this is an order in time.
    version: u64,
    name: String,
    what: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// A pool, and the picker that it names.
    Pool(Option<String>),
    /// Whether the Service is there.
    Service(bool),
    /// Whether the Deployment is there, with a pod available.
    Deployment(bool),
}

impl HistoryRecorder {
    /// Begins to watch `namespace`, which must be empty as yet.
    ///
    /// # Errors
    /// When the API server does not know a kind.
    pub async fn start(kubectl: &Kubectl, namespace: &str) -> Result<Self> {
        let seen = Arc::default();
        let mut watches = JoinSet::new();
        for (api_version, kind) in KINDS {
            let api = kubectl.api(api_version, kind, namespace).await?;
            watches.spawn(watch(api, kind, Arc::clone(&seen)));
        }
        Ok(Self { namespace: namespace.to_owned(), seen, _watches: watches })
    }

    /// Each moment at which a pool named a picker of ours whose Service or available Deployment was not there; and
    /// how many states were looked at.
    ///
    /// # Errors
    /// When the watches do not come to their end.
    pub async fn violations(self, kubectl: &Kubectl) -> Result<(Vec<String>, usize)> {
        for (api_version, kind) in KINDS {
            kubectl.apply_object(&self.namespace, last(api_version, kind)).await?;
        }
        until("the watches to catch up", Duration::from_secs(20), async || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let kinds = seen.iter().filter(|state| state.name == LAST);
            let kinds: BTreeSet<_> =
                kinds.map(|state| std::mem::discriminant(&state.what)).map(|d| format!("{d:?}")).collect();
            ensure!(kinds.len() == KINDS.len(), "{} of {} kinds", kinds.len(), KINDS.len());
            Ok(())
        })
        .await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.sort_by_key(|state| state.version);
        Ok((find_violations(&seen), seen.len()))
    }
}

fn last(api_version: &str, kind: &str) -> serde_json::Value {
    let spec = match kind {
        "InferencePool" => json!({
            "selector": {"matchLabels": {"app": LAST}},
            "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"name": LAST, "port": {"number": 9002}},
        }),
        "Service" => json!({"ports": [{"port": 80}]}),
        _ => json!({
            "replicas": 0,
            "selector": {"matchLabels": {"app": LAST}},
            "template": {
                "metadata": {"labels": {"app": LAST}},
                "spec": {"containers": [{"name": LAST, "image": LAST}]},
            },
        }),
    };
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": LAST}, "spec": spec})
}

async fn watch(api: Api<DynamicObject>, kind: &'static str, seen: Arc<Mutex<Vec<State>>>) {
    let mut events = watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        let state = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => state(kind, &object, true),
            Ok(Event::Delete(object)) => state(kind, &object, false),
            Ok(Event::Init | Event::InitDone) => continue,
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // An object without a version does not come from an API server.
        if let Ok(state) = state {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        }
    }
}

fn state(kind: &str, object: &DynamicObject, there: bool) -> Result<State> {
    let version = object.resource_version().context("no version")?.parse()?;
    let what = match kind {
        "InferencePool" => {
            let picker = object.data["spec"]["endpointPickerRef"]["name"].as_str();
            Content::Pool(picker.filter(|_| there).map(str::to_owned))
        }
        "Service" => Content::Service(there),
        _ => Content::Deployment(there && object.data["status"]["availableReplicas"].as_i64() > Some(0)),
    };
    Ok(State { version, name: object.name_any(), what })
}

/// Goes through what was seen, in order, and tells when a pool began to name a picker that was not there, or a picker
/// went that a pool named.
fn find_violations(seen: &[State]) -> Vec<String> {
    let (mut pools, mut services, mut deployments) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    let mut wrong_before = BTreeSet::new();
    for State { version, name, what } in seen {
        match what {
            Content::Pool(Some(picker)) => drop(pools.insert(name, picker)),
            Content::Pool(None) => drop(pools.remove(name)),
            Content::Service(true) => drop(services.insert(name)),
            Content::Service(false) => drop(services.remove(name)),
            Content::Deployment(true) => drop(deployments.insert(name)),
            Content::Deployment(false) => drop(deployments.remove(name)),
        }
        let ours = pools.iter().filter(|(pool, picker)| **picker == &format!("{pool}-picker"));
        let lost = ours.filter_map(|(pool, picker)| {
            let missing = match (services.contains(picker), deployments.contains(picker)) {
                (true, true) => return None,
                (false, _) => "is not there",
                (true, false) => "has no available pod",
            };
            Some(format!("pool {pool} names {picker}, which {missing}"))
        });
        let wrong: BTreeSet<String> = lost.collect();
        found.extend(wrong.difference(&wrong_before).map(|what| format!("{what} (version {version})")));
        wrong_before = wrong;
    }
    found
}

#[cfg(test)]
mod tests;
