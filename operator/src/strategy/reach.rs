//! The readiness of a picker's Service, told by a connection through it before a pool comes to refer to it.
//!
//! Gateways connect at once when a pool's reference changes. A picker that is available is not enough: its address has to
//! come into the EndpointSlices of the Service, and from there, by kube-proxy or what is in its place, onto every node. Until
//! then connections to the Service are refused. So a connection is tried from here; when one arrives, other nodes have
//! a margin to follow.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::queue::StrategyKey;

/// The margin unless something else is asked for: twice the time for which kube-proxy gathers changes.
pub const MARGIN: Duration = Duration::from_secs(2);
/// How long to wait where no connection tells anything, since a NetworkPolicy or the network keeps the operator from
/// pickers.
const SILENT_WAIT: Duration = Duration::from_secs(6);
/// How long to wait while connections are refused, or the Service has no address though a picker is available. What this
/// node sees may be wrong, and gateways may see more.
const REFUSED_WAIT: Duration = Duration::from_secs(30);

/// A request to try connections to a Service until one arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The number of the request. What an earlier one for the same Service finds counts for nothing.
    pub epoch: u64,
    /// UID of the Service.
    pub service: String,
    /// Its address.
    pub address: SocketAddr,
    /// The strategy that waits for it.
    pub strategy: StrategyKey,
}

/// The requests to try connections.
pub type Probes = mpsc::UnboundedReceiver<Probe>;

/// The end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It arrived.
    Arrived,
    /// It was refused.
    Refused,
    /// There was no answer.
    Silent,
}

/// What is known of the Services of pickers to which pools are to refer.
#[derive(Debug)]
pub struct Reach {
    margin: Duration,
    probes: mpsc::UnboundedSender<Probe>,
    epochs: AtomicU64,
    services: Mutex<HashMap<String, Known>>,
}

/// What is known of one Service.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The request to try connections that counts.
    epoch: u64,
    /// Since when it has addresses, or, without any, since when it was asked for.
    since: Instant,
    /// Whether it has addresses; `None` while EndpointSlices are not known.
    addresses: Option<bool>,
    /// When the first connection arrived.
    arrived: Option<Instant>,
    /// Whether the last one was refused.
    refused: bool,
}

impl Known {
    /// The rest of the time that a pool has to wait; `None` when it is over.
    fn wait(&self, margin: Duration, now: Instant) -> Option<Duration> {
        let until = match self.arrived {
            _ if self.addresses == Some(false) => self.since + REFUSED_WAIT,
            Some(arrived) => arrived + margin,
            None if self.refused => self.since + REFUSED_WAIT,
            None => self.since + SILENT_WAIT,
        };
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

impl Default for Reach {
    fn default() -> Self {
        Self::new(MARGIN).0
    }
}

impl Reach {
    /// Knows nothing yet. Other nodes have `margin` to follow when a connection arrived.
    pub fn new(margin: Duration) -> (Self, Probes) {
        let (probes, requests) = mpsc::unbounded_channel();
        (Self { margin, probes, epochs: AtomicU64::default(), services: Mutex::default() }, requests)
    }

    fn services(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rest of the time that a pool has to wait before it refers to the Service with this UID; `None` when it is over.
    /// Connections to `address` are tried from the first call on with which the Service has `addresses`.
    pub fn wait(
        &self,
        service: &str,
        address: Option<SocketAddr>,
        addresses: Option<bool>,
        strategy: &StrategyKey,
        now: Instant,
    ) -> Option<Duration> {
        let mut services = self.services();
        let known = services.get(service).filter(|known| known.addresses == addresses).copied();
        let known = known.unwrap_or_else(|| {
            let epoch = self.epochs.fetch_add(1, Ordering::Relaxed);
            if let Some(address) = address
                && addresses != Some(false)
            {
                let (service, strategy) = (service.to_owned(), strategy.clone());
                // Fails only when the program ends.
                let _ = self.probes.send(Probe { epoch, service, address, strategy });
            }
            let known = Known { epoch, since: now, addresses, arrived: None, refused: false };
            services.insert(service.to_owned(), known);
            known
        });
        known.wait(self.margin, now)
    }

    /// Forgets that connections arrived at a Service that has no address any more. One that had none before waits on.
    pub(super) fn lost(&self, service: &str) {
        let mut services = self.services();
        if services.get(service).is_some_and(|known| known.addresses != Some(false)) {
            services.remove(service);
        }
    }

    /// Notes how a connection ended. Returns whether to go on trying.
    pub fn tried(&self, probe: &Probe, attempt: Attempt, now: Instant) -> bool {
        let mut services = self.services();
        let known = services.get_mut(&probe.service).filter(|known| known.epoch == probe.epoch);
        let Some(known) = known else { return false };
        known.refused = attempt == Attempt::Refused;
        if attempt == Attempt::Arrived {
            known.arrived.get_or_insert(now);
        }
        attempt != Attempt::Arrived && now.duration_since(known.since) < REFUSED_WAIT
    }

    /// Forgets everything.
    pub(super) fn begin(&self) {
        self.services().clear();
    }

    /// Forgets what is not in the cluster any more.
    pub(super) fn prune(&self, is_there: impl Fn(&str) -> bool) {
        self.services().retain(|uid, _| is_there(uid));
    }
}

#[cfg(test)]
mod tests;
