//! The accept loop: takes connections from a listener, within limits for all of them and for each peer.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::peer_limits::{ConnectionPermit, PeerLimits};

/// The time between two warnings of peers with too many connections.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The pause after a failed accept, which is mostly the lack of a file descriptor.
const PAUSE: Duration = Duration::from_millis(50);

/// The limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The most at once. Further ones wait, and are taken when others end.
    pub connections: usize,
    /// The most of one address that take new streams, and a quarter of those that it may have in all. A further
    /// one is closed.
    pub per_peer: usize,
}

/// Hands each connection to `serve`, in a task of its own, until `closing` is cancelled; then takes no more, and
/// returns when the last one has ended. To end them sooner, drop the future.
pub async fn accept<F>(
    listener: TcpListener,
    limits: ConnectionLimits,
    closing: CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr, ConnectionPermit) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (peers, mut connections) = (PeerLimits::new(limits.per_peer), JoinSet::new());
    let mut warned: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            accepted = listener.accept(), if connections.len() < limits.connections => accepted,
        };
        match accepted {
            Ok((io, peer)) => match peers.permit(peer.ip()) {
                Some(permit) => {
                    connections.spawn(serve(io, peer, permit));
                    if connections.len() == limits.connections {
                        tracing::warn!(limits.connections, "no further connection is taken now");
                    }
                }
                None if warned.is_none_or(|last| last.elapsed() >= WARN_INTERVAL) => {
                    warned = Some(Instant::now());
                    tracing::warn!(%peer, "closing a connection too many of this peer");
                }
                None => {}
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "serving a connection failed");
    }
}
