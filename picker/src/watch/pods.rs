//! The watch of a pool's pods, and the endpoints of those that are ready.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use kube_ext::host_network::{
    ACTIVE_PORTS, HostPod, HostPods, OwnPorts, PodNetwork, active_ports, has_ended,
};
use kube_ext::object_parts::ObjectParts;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels};
use serde::Deserialize;
use tokio::sync::watch;

use super::events::Events;
use super::pool::{Members, PoolState};
use super::wanted::{PageHosts, Wanted, WantedEndpoint};
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// The parts of a pod that are read.
pub type SeenPod = ObjectParts<PodNetwork, Option<PodStatus>>;

/// The fields of a pod's status that tell whether and where it serves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    phase: Option<String>,
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
    /// Address of its node.
    node: Option<IpAddr>,
    labels: Labels,
    /// The ports that its annotation allows; `None` allows all.
    active: Option<BTreeSet<u16>>,
    /// What it says of its ports, if its address is that of its node.
    host: Option<HostPod>,
}

/// What `pod` says of its ports, ready or not, if its address is that of its node and it runs.
fn host_pod(pod: &SeenPod) -> Option<HostPod> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref().is_some_and(has_ended) {
        return None;
    }
    let address = status.pod_ip.as_deref()?.parse().ok()?;
    HostPod::of(&pod.spec, address, active_ports(pod.annotations()).as_ref())
}

impl ReadyPod {
    /// Reads `pod`; `None` when it must not be named now.
    pub fn read(pod: &SeenPod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        let ready = status.conditions.iter().flatten().any(|c| c.kind == "Ready" && c.status == "True");
        if !ready || pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        Some(Self {
            uid: pod.metadata.uid.as_deref()?.into(),
            name: pod.name_any(),
            namespace: pod.namespace().unwrap_or_default(),
            address: status.pod_ip.as_deref()?.parse().ok()?,
            node: status.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
            labels: pod.labels().clone(),
            active: active_ports(pod.annotations()),
            host: host_pod(pod),
        })
    }

    /// Its endpoints, one for each of `ports` that is active, and among those of `own` if that is given.
    fn endpoints<'a>(
        &'a self,
        ports: &'a [u16],
        own: Option<&'a OwnPorts>,
    ) -> impl Iterator<Item = WantedEndpoint> + 'a {
        let active = move |port: &u16| {
            self.active.as_ref().is_none_or(|active| active.contains(port))
                && own.is_none_or(|own| own.ports.contains(port))
        };
        // The rank is the place among the pool's ports, so it stays when others are made inactive.
        let spec = |rank: usize, port| EndpointSpec {
            id: EndpointId { pod_uid: self.uid.clone(), port, rank: rank as u8 },
            pod: self.name.clone(),
            namespace: self.namespace.clone(),
            address: SocketAddr::new(self.address, port),
            labels: self.labels.clone(),
        };
        let pages = PageHosts { node: self.node, ..PageHosts::default() };
        ports
            .iter()
            .enumerate()
            .filter(move |(_, port)| active(port))
            .map(move |(rank, &port)| WantedEndpoint { spec: spec(rank, port), pages: pages.clone() })
    }
}

/// The pods that are ready, by name, kept up to date by a watch.
#[derive(Debug, Default)]
pub struct Pods {
    known: Known,
    /// A list that is under way. What was known stands until it is complete.
    listing: Known,
    complete: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    ready: BTreeMap<String, ReadyPod>,
    /// Those that are not, in the network of their node: their ports are not those of others.
    unready: BTreeMap<String, HostPod>,
}

impl Known {
    /// Takes note of `pod`. Returns whether anything is different now.
    fn insert(&mut self, pod: &SeenPod) -> bool {
        let name = pod.name_any();
        match ReadyPod::read(pod) {
            Some(ready) => {
                let was_unready = self.unready.remove(&name).is_some();
                let old = self.ready.insert(name, ready.clone());
                was_unready | (old.as_ref() != Some(&ready))
            }
            None => {
                let host = host_pod(pod);
                let gone = self.remove_ready(pod);
                let old = match host.clone() {
                    Some(host) => self.unready.insert(name, host),
                    None => self.unready.remove(&name),
                };
                gone | (old != host)
            }
        }
    }

    /// Takes `pod` out of those that are ready, unless a younger one of its name has taken its place.
    fn remove_ready(&mut self, pod: &SeenPod) -> bool {
        let name = pod.name_any();
        let same =
            self.ready.get(&name).is_some_and(|known| Some(&*known.uid) == pod.metadata.uid.as_deref());
        same && self.ready.remove(&name).is_some()
    }

    /// Those in the network of their node, of a pool with these `ports`.
    fn hosts<'p>(&self, ports: &'p [u16]) -> HostPods<'p> {
        let ready = self.ready.values().filter_map(|pod| pod.host.as_ref());
        // One of the same name has taken its place.
        let unready = self.unready.iter().filter(|(name, _)| !self.ready.contains_key(*name));
        HostPods::new(ready.chain(unready.map(|(_, host)| host)), ports)
    }
}

impl Pods {
    /// Takes in an event. Returns whether the ready pods may have changed.
    pub fn apply(&mut self, event: watcher::Event<SeenPod>) -> bool {
        match event {
            watcher::Event::Init => {
                self.listing = Known::default();
                false
            }
            watcher::Event::InitApply(pod) => {
                self.listing.insert(&pod);
                false
            }
            watcher::Event::InitDone => {
                let first = !std::mem::replace(&mut self.complete, true);
                let listed = std::mem::take(&mut self.listing);
                first | (std::mem::replace(&mut self.known, listed.clone()) != listed)
            }
            watcher::Event::Apply(pod) => self.known.insert(&pod),
            watcher::Event::Delete(pod) => {
                let unready = self.known.unready.remove(&pod.name_any()).is_some();
                self.known.remove_ready(&pod) | unready
            }
        }
    }

    /// The endpoints of all of them at `ports`.
    pub fn endpoints(&self, ports: &[u16]) -> Arc<[WantedEndpoint]> {
        let hosts = self.known.hosts(ports);
        let of = |pod: &ReadyPod| {
            let own = pod.host.as_ref().map(|host| hosts.own_ports(host));
            pod.endpoints(ports, own.as_ref()).collect::<Vec<_>>()
        };
        self.known.ready.values().flat_map(of).collect()
    }

    /// The names of ready pods that share the address of their node and don't say which of `ports` is whose.
    pub fn unclear(&self, ports: &[u16]) -> Vec<String> {
        let hosts = self.known.hosts(ports);
        let unclear = |(_, pod): &(&String, &ReadyPod)| {
            pod.host.as_ref().is_some_and(|host| hosts.own_ports(host).unclear)
        };
        self.known.ready.iter().filter(unclear).map(|(name, _)| name.clone()).collect()
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
            PoolState::Absent => offer(&wanted, Arc::default()),
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
    let mut told = Vec::new();
    loop {
        tokio::select! {
            event = events.next() => {
                if pods.apply(event) {
                    tell(wanted, &pods, &present.ports, &mut told);
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
                            tell(wanted, &pods, &present.ports, &mut told);
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

/// Offers the endpoints of `pods`. The log has each set of pods once that don't say which ports are theirs: `told` is the
/// last one.
fn tell(wanted: &watch::Sender<Wanted>, pods: &Pods, ports: &[u16], told: &mut Vec<String>) {
    offer(wanted, pods.endpoints(ports));
    let unclear = pods.unclear(ports);
    if !unclear.is_empty() && unclear != *told {
        tracing::warn!(
            pods = unclear.join(", "),
            ?ports,
            "pods share the address of their node (hostNetwork) and don't declare which port is whose: each counts as \
             the owner of all; give each of them its containerPort, or the annotation {}",
            ACTIVE_PORTS[0],
        );
    }
    *told = unclear;
}

fn offer(wanted: &watch::Sender<Wanted>, endpoints: Arc<[WantedEndpoint]>) {
    wanted.send_if_modified(|old| {
        let changed = old.as_ref() != Some(&endpoints);
        if changed {
            *old = Some(endpoints);
        }
        changed
    });
}
