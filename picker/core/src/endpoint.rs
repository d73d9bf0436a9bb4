//! An endpoint: one port of one model-server pod, with the live counters that follow it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustc_hash::FxBuildHasher;

use crate::health::{Health, PoolHealth};

#[cfg(test)]
mod tests;

/// The most endpoints of a pool of which tables by slot keep anything. Of those in later slots plugins know nothing that has
/// to be kept.
pub const MAX_SLOTS: usize = 1 << 16;

/// Labels of a pod.
pub type Labels = BTreeMap<String, String>;

/// Who an endpoint is: never the address alone, because addresses are used again by other pods.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId {
    /// UID of the pod, or a name that is unique among endpoints that come from a file.
    pub pod_uid: Arc<str>,
    /// Port that serves requests.
    pub port: u16,
    /// Position of the port among the pool's target ports, 0 to 7 (the data-parallel rank).
    pub rank: u8,
}

/// One port of one pod. Immutable but for its live counters; a pod whose labels or address change is
/// a new value that shares the counters and the health of the old one ([`Endpoint::revised`]).
#[derive(Debug)]
pub struct Endpoint {
    /// Who it is.
    pub id: EndpointId,
    /// `<pod>-rank-<n>`, as the Gateway API Inference Extension names it.
    pub name: String,
    /// Name of the pod.
    pub pod: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Where requests go.
    pub address: SocketAddr,
    /// Labels of the pod.
    pub labels: Labels,
    /// Small dense number, unique among endpoints that are alive: the index of per-endpoint tables.
    pub slot: u32,
    /// Never given twice by the same [`Slots`], and rising: tells an endpoint from a later one in its slot.
    pub key: u64,
    /// Hash of `labels`: equal for equal ones.
    pub labels_hash: u64,
    /// `address` as it is written into the destination header; IPv6 in brackets.
    pub destination: String,
    live: Arc<Live>,
    health: Arc<Health>,
}

/// Counters that change with every request, shared by all revisions of an endpoint.
#[derive(Debug, Default)]
pub struct Live {
    in_flight: AtomicU32,
    tokens: AtomicU64,
}

/// Load that requests put on an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests.
    pub requests: u32,
    /// Tokens that have to be computed for them, as estimated when they were sent.
    pub tokens: u64,
}

impl Live {
    /// Requests that were sent to the endpoint by this picker and have not ended.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Tokens that are booked on the endpoint by this picker. 0 without an `inflight-load-producer`.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, load: Load) {
        if load.requests > 0 {
            self.in_flight.fetch_add(load.requests, Ordering::Relaxed);
        }
        if load.tokens > 0 {
            self.tokens.fetch_add(load.tokens, Ordering::Relaxed);
        }
    }

    /// Takes back exactly what [`Live::add`] was given before.
    pub(crate) fn give_back(&self, load: Load) {
        if load.requests > 0 {
            self.in_flight.fetch_sub(load.requests, Ordering::Relaxed);
        }
        if load.tokens > 0 {
            self.tokens.fetch_sub(load.tokens, Ordering::Relaxed);
        }
    }
}

/// What is known of an endpoint before it gets its slot.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSpec {
    /// Who it is.
    pub id: EndpointId,
    /// Name of the pod.
    pub pod: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Where requests go.
    pub address: SocketAddr,
    /// Labels of the pod.
    pub labels: Labels,
}

impl Endpoint {
    fn new(spec: EndpointSpec, slot: u32, key: u64, live: Arc<Live>, health: Arc<Health>) -> Self {
        let EndpointSpec { id, pod, namespace, address, labels } = spec;
        Self {
            name: name(&pod, id.rank),
            destination: address.to_string(),
            labels_hash: FxBuildHasher.hash_one(&labels),
            id,
            pod,
            namespace,
            address,
            labels,
            slot,
            key,
            live,
            health,
        }
    }

    /// The same endpoint with other labels or another address: slot, key, counters and health stay.
    pub fn revised(&self, spec: EndpointSpec) -> Self {
        Self::new(spec, self.slot, self.key, self.live.clone(), self.health.clone())
    }

    /// The live counters.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Its health.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Whether this endpoint already has exactly the id, pod, namespace, address and labels of `spec`.
    pub fn matches(&self, spec: &EndpointSpec) -> bool {
        self.id == spec.id
            && self.pod == spec.pod
            && self.namespace == spec.namespace
            && self.address == spec.address
            && self.labels == spec.labels
    }
}

fn name(pod: &str, rank: u8) -> String {
    format!("{pod}-rank-{rank}")
}

/// Gives the endpoints of a pool their slots. A slot is used again only after [`Slots::release`].
#[derive(Debug, Default)]
pub struct Slots {
    free: BTreeSet<u32>,
    used: u32,
    next_key: u64,
    health: Arc<PoolHealth>,
}

impl Slots {
    /// A new endpoint in the lowest free slot.
    pub fn admit(&mut self, spec: EndpointSpec) -> Endpoint {
        let slot = self.free.pop_first().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        self.next_key += 1;
        let health = Health::new(&name(&spec.pod, spec.id.rank), self.health.clone());
        Endpoint::new(spec, slot, self.next_key, Arc::default(), Arc::new(health))
    }

    /// Gives back the slot of an endpoint that is gone.
    pub fn release(&mut self, endpoint: &Endpoint) {
        self.free.insert(endpoint.slot);
    }
}
