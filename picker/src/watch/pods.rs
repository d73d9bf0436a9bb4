//! The watch of a pool's pods, and the endpoints of those that are ready.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use kube_ext::object_parts::ObjectParts;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::watch;

use super::Wanted;
use super::events::Events;
use super::pool::{Members, PoolState};
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// Annotations that limit a pod to some of its pool's ports, `"8000,8001"`.
const ACTIVE_PORTS: [&str; 2] = ["inference.networking.k8s.io/active-ports", "llm-d.ai/active-ports"];

/// The parts of a pod that are read.
pub type SeenPod = ObjectParts<IgnoredAny, Option<PodStatus>>;

/// The fields of a pod's status that tell whether and where it serves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// A pod that may serve: ready, and not about to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyPod {
    uid: Arc<str>,
    name: String,
    namespace: String,
    address: IpAddr,
    labels: Labels,
    /// The ports that its annotation allows; `None` allows all.
    active: Option<Vec<u16>>,
}

impl ReadyPod {
    /// Reads `pod`; `None` when it must not be named now.
    pub fn read(pod: &SeenPod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        let ready = status.conditions.iter().flatten().any(|c| c.kind == "Ready" && c.status == "True");
        if !ready || pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let annotations = pod.annotations();
        let active = ACTIVE_PORTS.iter().find_map(|name| annotations.get(*name));
        Some(Self {
            uid: pod.metadata.uid.as_deref()?.into(),
            name: pod.name_any(),
            namespace: pod.namespace().unwrap_or_default(),
            address: status.pod_ip.as_deref()?.parse().ok()?,
            labels: pod.labels().clone(),
            active: active.map(|list| list.split(',').filter_map(|port| port.trim().parse().ok()).collect()),
        })
    }

    /// Its endpoints, one for each of `ports` that is active.
    fn endpoints<'a>(&'a self, ports: &'a [u16]) -> impl Iterator<Item = EndpointSpec> + 'a {
        let active = |port: &u16| self.active.as_ref().is_none_or(|active| active.contains(port));
        // The rank is the place among the pool's ports, so it stays when others are made inactive.
        ports.iter().enumerate().filter(move |(_, port)| active(port)).map(|(rank, &port)| EndpointSpec {
            id: EndpointId { pod_uid: self.uid.clone(), port, rank: rank as u8 },
            pod: self.name.clone(),
            namespace: self.namespace.clone(),
            address: SocketAddr::new(self.address, port),
            labels: self.labels.clone(),
        })
    }
}

/// The pods that are ready, by name, kept up to date by a watch.
#[derive(Debug, Default)]
pub struct Pods {
    known: BTreeMap<String, ReadyPod>,
    /// A list that is under way. What was known stands until it is complete.
    listing: BTreeMap<String, ReadyPod>,
    complete: bool,
}

impl Pods {
    /// Takes in an event. Returns whether the ready pods may have changed.
    pub fn apply(&mut self, event: watcher::Event<SeenPod>) -> bool {
        match event {
            watcher::Event::Init => {
                self.listing.clear();
                false
            }
            watcher::Event::InitApply(pod) => {
                if let Some(ready) = ReadyPod::read(&pod) {
                    self.listing.insert(ready.name.clone(), ready);
                }
                false
            }
            watcher::Event::InitDone => {
                let first = !std::mem::replace(&mut self.complete, true);
                let listed = std::mem::take(&mut self.listing);
                first | (std::mem::replace(&mut self.known, listed.clone()) != listed)
            }
            watcher::Event::Apply(pod) => match ReadyPod::read(&pod) {
                Some(ready) => {
                    let old = self.known.insert(ready.name.clone(), ready.clone());
                    old.as_ref() != Some(&ready)
                }
                None => self.remove(&pod),
            },
            watcher::Event::Delete(pod) => self.remove(&pod),
        }
    }

    /// Takes `pod` out, unless a younger one of its name has taken its place.
    fn remove(&mut self, pod: &SeenPod) -> bool {
        let name = pod.name_any();
        let same =
            self.known.get(&name).is_some_and(|known| Some(&*known.uid) == pod.metadata.uid.as_deref());
        same && self.known.remove(&name).is_some()
    }

    /// The endpoints of all of them at `ports`.
    pub fn endpoints(&self, ports: &[u16]) -> Arc<[EndpointSpec]> {
        self.known.values().flat_map(|pod| pod.endpoints(ports)).collect()
    }
}

/// Follows the pool's state and its pods, and tells the endpoints that there should be. Ends when the
/// pool's sender or the receivers are gone.
pub async fn run(
    client: Client,
    namespace: &str,
    mut pool: watch::Receiver<PoolState>,
    metrics: &Metrics,
    wanted: watch::Sender<Wanted>,
) {
    let api: Api<SeenPod> = Api::namespaced_with(client, namespace, &ApiResource::erase::<Pod>(&()));
    while !wanted.is_closed() {
        let state = pool.borrow_and_update().clone();
        match state {
            PoolState::Present(present) => follow(&api, present, &mut pool, metrics, &wanted).await,
            PoolState::Absent => tell(&wanted, Arc::default()),
            PoolState::Unknown => {}
        }
        // After `follow` a change is waiting already.
        if pool.changed().await.is_err() {
            return;
        }
    }
}

/// Watches the pods of `present` until the pool's selector changes or the pool is gone. The pods of a
/// former selector stay until those of the new one are listed.
async fn follow(
    api: &Api<SeenPod>,
    mut present: Members,
    pool: &mut watch::Receiver<PoolState>,
    metrics: &Metrics,
    wanted: &watch::Sender<Wanted>,
) {
    let config = watcher::Config::default().labels(&present.selector);
    let mut events = Events::of(api.clone(), config, metrics, "pods");
    let mut pods = Pods::default();
    loop {
        tokio::select! {
            event = events.next() => {
                if pods.apply(event) {
                    tell(wanted, pods.endpoints(&present.ports));
                }
            }
            changed = pool.changed() => {
                if changed.is_err() {
                    return;
                }
                let state = pool.borrow_and_update().clone();
                match state {
                    PoolState::Present(new) if new.selector == present.selector => {
                        present = new;
                        if pods.complete {
                            tell(wanted, pods.endpoints(&present.ports));
                        }
                    }
                    _ => {
                        pool.mark_changed();
                        return;
                    }
                }
            }
        }
    }
}

fn tell(wanted: &watch::Sender<Wanted>, endpoints: Arc<[EndpointSpec]>) {
    wanted.send_if_modified(|old| {
        let changed = old.as_ref() != Some(&endpoints);
        if changed {
            *old = Some(endpoints);
        }
        changed
    });
}
