//! The strategy of a RoutingStrategy in the cluster, which is followed.

use std::collections::BTreeMap;
use std::time::Duration;

use ::kube::api::ApiResource;
use ::kube::runtime::watcher::{self, Event};
use ::kube::{Api, Client};
use crds::picker::DEFAULT_REPLICAS;
use crds::{Paused, PickerStatus, RoutingStrategy};
use kube_ext::object_parts::{RawObject, RawPart};
use picker_core::config::{Scope, revision};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::replicas::Replicas;
use super::{Installer, Offer, Rescue, history};
use crate::metrics::Metrics;
use crate::watch::events::{Events, chain};

#[cfg(test)]
mod tests;

/// Pause before the history is asked again, when the API server didn't answer.
const AGAIN: Duration = Duration::from_secs(1);

/// A RoutingStrategy by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl StrategyRef {
    /// Access to strategies of its namespace. Read without a schema of our own: a field of a newer
    /// release must not keep this one from serving.
    pub fn api(&self, client: Client) -> Api<RawObject> {
        Api::namespaced_with(client, &self.namespace, &ApiResource::erase::<RoutingStrategy>(&()))
    }
}

impl std::str::FromStr for StrategyRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("must be NAMESPACE/NAME".to_owned()),
        }
    }
}

/// The pickers of the status that is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// `status.pickers`, by pod; `None` while it isn't known or when there is no strategy.
    pub pickers: Option<BTreeMap<String, PickerStatus>>,
}

/// Follows the strategy: offers its routing to `installer`, and tells the pickers of its status and how many `replicas` of
/// this one there are. Never ends by itself.
pub async fn run(
    client: Client,
    strategy: StrategyRef,
    installer: &Installer,
    metrics: &Metrics,
    stored: &watch::Sender<Stored>,
    replicas: &Replicas,
) {
    let only = watcher::Config::default().fields(&format!("metadata.name={}", strategy.name));
    let mut events = Events::of(strategy.api(client.clone()), only, metrics, "strategy");
    let mut seen = false;
    let mut wanted: Option<(String, Rescue)> = None;
    loop {
        let rescue = async {
            match &wanted {
                Some((revision, why)) => rescue(&client, &strategy, installer, revision, *why).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = events.next() => event,
            () = rescue => {
                wanted = None;
                continue;
            }
        };
        match event {
            Event::Init => seen = false,
            Event::InitApply(object) | Event::Apply(object) => {
                seen = true;
                wanted = take(&object, installer);
                tell(stored, &object);
                let known = stored.borrow();
                let pickers = known.pickers.iter().flatten().map(|(pod, _)| pod.as_str());
                metrics.scraping.replicas.set(replicas.note(pickers, || asked(&object)).into());
            }
            Event::InitDone if seen => {}
            Event::InitDone | Event::Delete(_) => {
                wanted = None;
                let StrategyRef { namespace, name } = &strategy;
                installer.unavailable(&format!("there is no RoutingStrategy {namespace}/{name}"));
                stored.send_replace(Stored::default());
            }
        }
    }
}

/// Offers the routing of `object`. Returns the revision to serve in its place, and why, when it is refused and
/// nothing serves yet, or when edits are paused and another serves than the one that was accepted last.
fn take(object: &RawObject, installer: &Installer) -> Option<(String, Rescue)> {
    let routing = &routing(object);
    if paused(object).routing
        && let Some(accepted) = status(object).revision.filter(|accepted| *accepted != revision(routing))
    {
        let serves = installer.serving().borrow().revision.as_ref() == Some(&accepted);
        return (!serves).then_some((accepted, Rescue::Paused));
    }
    let offer = Offer { routing, scope: Scope::Resource, generation: object.metadata.generation };
    if installer.offer(offer) || installer.serving().borrow().revision.is_some() {
        return None;
    }
    let accepted = &status(object).revision?;
    (Some(accepted) != installer.serving().borrow().offered.as_ref())
        .then(|| (accepted.to_owned(), Rescue::Refused))
}

/// What of the strategy stands still.
fn paused(object: &RawObject) -> Paused {
    #[derive(Default, Deserialize)]
    struct Spec {
        #[serde(default)]
        paused: RawPart,
    }
    let spec = object.spec.read::<Option<Spec>>().ok().flatten().unwrap_or_default();
    spec.paused.read().map(|value: Value| Paused::read(&value)).unwrap_or_default()
}

/// The routing of `object`. In the place of one that can't be read, because it is nested too deep, stands the
/// reason: that doesn't compile either, and so is refused like any other bad edit.
fn routing(object: &RawObject) -> Value {
    #[derive(Default, Deserialize)]
    struct Spec {
        #[serde(default)]
        routing: RawPart,
    }
    let spec = object.spec.read::<Option<Spec>>();
    let routing = spec.and_then(|spec| spec.unwrap_or_default().routing.read());
    routing.unwrap_or_else(|why| Value::String(format!("unreadable: {why}")))
}

/// The fields of the status that are read; one that can't be read is like none.
#[derive(Debug, Default)]
struct Status {
    revision: Option<String>,
    pickers: Map<String, Value>,
}

fn status(object: &RawObject) -> Status {
    let mut status = object.status.read::<Value>().unwrap_or_default();
    let mut take = |field: &str| status.get_mut(field).map(Value::take);
    Status {
        revision: take("revision").and_then(|revision| Some(revision.as_str()?.to_owned())),
        pickers: match take("pickers") {
            Some(Value::Object(pickers)) => pickers,
            _ => Map::new(),
        },
    }
}

/// Serves the accepted `revision` from the history. Returns when that is done, or is hopeless.
async fn rescue(client: &Client, strategy: &StrategyRef, installer: &Installer, revision: &str, why: Rescue) {
    loop {
        match history::find(client, &strategy.namespace, &strategy.name, revision).await {
            Ok(Some(routing)) => {
                installer.rescue(&routing, Scope::Resource, why);
                return;
            }
            Ok(None) => {
                tracing::error!(revision, "the revision that was accepted last is not in the history");
                return;
            }
            Err(error) => {
                tracing::warn!(revision, error = chain(&error), "the history can't be read");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// The number of replicas that `object` asks for, the least of an autoscaler's.
fn asked(object: &RawObject) -> u32 {
    #[derive(Default, Deserialize)]
    struct Spec {
        #[serde(default)]
        picker: Picker,
    }
    #[derive(Default, Deserialize)]
    struct Picker {
        replicas: Option<u32>,
        autoscaling: Option<Autoscaling>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Autoscaling {
        min_replicas: Option<u32>,
    }
    let Spec { picker } = object.spec.read::<Option<Spec>>().ok().flatten().unwrap_or_default();
    match picker.autoscaling {
        Some(autoscaling) => autoscaling.min_replicas.unwrap_or(1),
        None => picker.replicas.unwrap_or(DEFAULT_REPLICAS.unsigned_abs()),
    }
}

fn tell(stored: &watch::Sender<Stored>, object: &RawObject) {
    let pickers = status(object).pickers.into_iter();
    let readable = pickers.filter_map(|(pod, entry)| Some((pod, PickerStatus::deserialize(entry).ok()?)));
    let new = Stored { pickers: Some(readable.collect()) };
    stored.send_if_modified(|old| {
        let changed = *old != new;
        *old = new;
        changed
    });
}
