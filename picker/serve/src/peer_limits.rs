//! Limits on the connections of each peer, on the memory that they hold and on the streams that come to nothing, so
//! that none can take the places, the memory or the time of all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// A peer may have so many times as many connections in all as take new streams: others live on to the end of their
/// last stream.
const LIVING_ON: usize = 4;

/// Streams of a peer that may be gone at once before anything was done for them. Gateways give requests up after a
/// while that the picker was late to read; streams that are opened to be reset are many more.
const VOID: usize = 8 << 10;

/// After this time a peer may have [`VOID`] more of them.
const VOID_WITHIN: Duration = Duration::from_secs(2);

/// So many peers without connections may be remembered for their streams that came to nothing.
const REMEMBERED: usize = 4 << 10;

/// The numbers of connections of each peer, and their limit. Clones share them.
#[derive(Clone, Debug)]
pub struct PeerLimits {
    per_peer: usize,
    peers: Arc<Mutex<HashMap<IpAddr, Peer>>>,
}

/// What one peer has.
#[derive(Clone, Debug)]
struct Peer {
    /// Connections that take new streams.
    active: usize,
    /// All connections.
    all: usize,
    /// Bytes of a budget that its connections have reserved.
    reserved: Arc<AtomicUsize>,
    /// Streams that came to nothing, not yet forgiven.
    void: usize,
    /// The time up to which such streams were forgiven.
    forgiven: Option<Instant>,
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
        if peers.len() > REMEMBERED {
            peers.retain(|_, peer| peer.all > 0);
        }
        let entry = peers.entry(peer).or_insert_with(Peer::new);
        if entry.active >= self.per_peer || entry.all >= self.per_peer.saturating_mul(LIVING_ON) {
            return None;
        }
        entry.active += 1;
        entry.all += 1;
        let of_peer = entry.reserved.clone();
        drop(peers);
        Some(ConnectionPermit { limits: self.clone(), peer, active: true, reserved: 0, of_peer })
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<IpAddr, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permission for one connection of a peer, given back when it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    limits: PeerLimits,
    peer: IpAddr,
    active: bool,
    reserved: usize,
    /// What all connections of the peer have reserved.
    of_peer: Arc<AtomicUsize>,
}

impl ConnectionPermit {
    /// The connection takes no new streams: its peer may open another one.
    pub fn lives_on(&mut self) {
        if std::mem::take(&mut self.active)
            && let Some(peer) = self.limits.peers().get_mut(&self.peer)
        {
            peer.active -= 1;
        }
    }

    /// How many more bytes the peer may reserve of a budget that has `left`: it never has more than there are left for
    /// others. One that takes all that it can leaves half of the budget, and the next one a quarter (dynamic
    /// thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
    pub fn room(&self, left: usize) -> usize {
        left.saturating_sub(self.of_peer.load(Ordering::Relaxed)) / 2
    }

    /// The connection has reserved so many bytes more.
    pub fn reserve(&mut self, bytes: usize) {
        self.reserved += bytes;
        self.of_peer.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The connection has so many bytes less.
    pub fn let_go(&mut self, bytes: usize) {
        let bytes = bytes.min(self.reserved);
        self.reserved -= bytes;
        self.of_peer.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// So many streams came to nothing until `now`. Whether the peer may go on.
    pub fn came_to_nothing(&self, streams: usize, now: Instant) -> bool {
        let mut peers = self.limits.peers();
        let Some(peer) = peers.get_mut(&self.peer) else { return true };
        peer.void = peer.still_void(now) + streams;
        peer.forgiven = Some(now);
        peer.void <= VOID
    }
}

impl Peer {
    fn new() -> Self {
        Self { active: 0, all: 0, reserved: Arc::new(AtomicUsize::new(0)), void: 0, forgiven: None }
    }

    /// Streams that came to nothing and are not forgiven at `now`.
    fn still_void(&self, now: Instant) -> usize {
        let passed = self.forgiven.map_or(Duration::ZERO, |forgiven| now.saturating_duration_since(forgiven));
        let forgiven = passed.as_secs_f64() / VOID_WITHIN.as_secs_f64() * VOID as f64;
        self.void.saturating_sub(forgiven as usize)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.lives_on();
        self.let_go(self.reserved);
        let mut peers = self.limits.peers();
        if let Some(peer) = peers.get_mut(&self.peer) {
            peer.all -= 1;
            if peer.all == 0 && peer.void == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}
