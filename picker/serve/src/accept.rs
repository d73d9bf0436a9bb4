//! The accept loop: takes connections from a listener, within limits for all of them and for each peer.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::memory::Meter;
use crate::pace::Paces;
use crate::peer_limits::{ConnectionPermit, PeerLimits};
use crate::places::{Leaving, Place, leaving};

/// The time between two warnings of peers with too many connections.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The pause after a failed accept, which is mostly the lack of a file descriptor.
const PAUSE: Duration = Duration::from_millis(50);

/// So many connections wait for a place. Of more one that has waited long is closed.
const WAITING: usize = 128;

/// How often it is looked whether there is a place for those that wait, and so how often all places are.
const LOOK: Duration = Duration::from_millis(50);

/// The limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The most at once. A further one takes the place of one that does nothing, or waits until another ends; only so
    /// many wait.
    pub connections: usize,
    /// The most of one address that take new streams, and a quarter of those that it may have in all. A further
    /// one is closed.
    pub per_peer: usize,
    /// The most new ones of one address in each second, beyond [`per_peer`](Self::per_peer) at once. A further one is
    /// closed.
    pub per_peer_and_second: usize,
}

/// A connection that was accepted, as it is handed on.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub io: TcpStream,
    /// Its peer.
    pub peer: SocketAddr,
    /// The peer's permit for it.
    pub permit: ConnectionPermit,
    /// What is counted of it. One that never [worked](Meter::worked) gives its place to others first.
    pub meter: Meter,
}

/// Hands each connection to `serve`, in a task of its own, until `closing` is cancelled; then takes no more, and
/// returns when the last one has ended. To end them sooner, drop the future.
pub async fn accept<F>(
    listener: TcpListener,
    limits: ConnectionLimits,
    closing: CancellationToken,
    serve: impl Fn(Accepted) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (peers, mut connections) = (PeerLimits::new(limits.per_peer), JoinSet::new());
    let mut places: HashMap<Id, Place> = HashMap::new();
    let mut paces = Paces::new(limits.per_peer, limits.per_peer_and_second);
    let mut warnings = Warnings::default();
    let (mut waiting, mut looked) = (VecDeque::<Accepted>::new(), Instant::now());
    loop {
        while connections.len() < limits.connections
            && let Some(accepted) = waiting.pop_front()
        {
            let (peer, meter, since) = (accepted.peer.ip(), accepted.meter.clone(), Instant::now());
            let task = connections.spawn(serve(accepted));
            places.insert(task.id(), Place { peer, since, meter, task, yielded: false });
        }
        if !waiting.is_empty() && looked.elapsed() >= LOOK {
            looked = Instant::now();
            let newcomers = waiting.iter().map(|accepted| accepted.peer.ip());
            if let Some(Leaving { places: left, first }) = leaving(&places, newcomers, looked) {
                warnings.full(limits.connections);
                for id in left {
                    // Each leaves its place when its task has ended.
                    if let Some(place) = places.get_mut(&id) {
                        place.task.abort();
                        place.yielded = true;
                    }
                }
                waiting.swap(0, first);
            }
        }
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            Some(ended) = connections.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
                places.remove(&id);
                log_panic(ended);
                continue;
            }
            () = sleep_until(looked + LOOK), if !waiting.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((io, peer)) => {
                let paced = paces.take(peer.ip(), Instant::now());
                match paced.then(|| peers.permit(peer.ip())).flatten() {
                    Some(permit) => waiting.push_back(Accepted { io, peer, permit, meter: Meter::default() }),
                    None => warnings.too_many(peer),
                }
                if waiting.len() > WAITING {
                    // For the first one somebody may be leaving.
                    waiting.remove(1);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
    drop((listener, waiting));
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
}

/// The warnings of the loop, each once in a while.
#[derive(Debug, Default)]
struct Warnings {
    full: Option<Instant>,
    too_many: Option<Instant>,
}

impl Warnings {
    fn full(&mut self, connections: usize) {
        if is_due(&mut self.full) {
            tracing::warn!(connections, "all places are taken: connections that do nothing give theirs up");
        }
    }

    fn too_many(&mut self, peer: SocketAddr) {
        if is_due(&mut self.too_many) {
            tracing::warn!(%peer, "closing a connection too many of this peer");
        }
    }
}

fn is_due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= WARN_INTERVAL);
    if due {
        *last = Some(Instant::now());
    }
    due
}

fn log_panic<T>(ended: Result<T, JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "serving a connection failed");
    }
}
