//! Limits on the connections of each peer, so that none can take the places of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use crate::sync::{Mutex, MutexGuard};

/// A peer may have so many times as many connections in all as take new streams: others live on to the end of their
/// last stream.
const LIVING_ON: usize = 4;

/// The numbers of connections of each peer, and their limit. Clones share them.
#[derive(Clone, Debug)]
pub struct PeerLimits {
    per_peer: usize,
    peers: Arc<Mutex<HashMap<IpAddr, Connections>>>,
}

/// The connections of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Connections {
    /// Those that take new streams.
    active: usize,
    /// All of them.
    all: usize,
}

impl PeerLimits {
    /// No connections yet, and at most `per_peer` of each address that take new streams.
    pub fn new(per_peer: usize) -> Self {
        Self { per_peer, peers: Arc::new(Mutex::new(HashMap::new())) }
    }

    /// A permit for a connection of `peer`, or `None` when it has as many as it may.
    pub fn permit(&self, peer: IpAddr) -> Option<ConnectionPermit> {
        // One machine may come as 10.0.0.1 and as ::ffff:10.0.0.1.
        let peer = peer.to_canonical();
        let mut peers = self.peers();
        let count = peers.get(&peer).copied().unwrap_or_default();
        if count.active >= self.per_peer || count.all >= self.per_peer.saturating_mul(LIVING_ON) {
            return None;
        }
        peers.insert(peer, Connections { active: count.active + 1, all: count.all + 1 });
        drop(peers);
        Some(ConnectionPermit { limits: self.clone(), peer, active: true })
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<IpAddr, Connections>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permission for one connection of a peer, given back when it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    limits: PeerLimits,
    peer: IpAddr,
    active: bool,
}

impl ConnectionPermit {
    /// The connection takes no new streams: its peer may open another one.
    pub fn lives_on(&mut self) {
        if std::mem::take(&mut self.active)
            && let Some(count) = self.limits.peers().get_mut(&self.peer)
        {
            count.active -= 1;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.lives_on();
        let mut peers = self.limits.peers();
        if let Some(count) = peers.get_mut(&self.peer) {
            count.all -= 1;
            if count.all == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}
