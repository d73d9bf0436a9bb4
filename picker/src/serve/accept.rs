//! Taking connections, within bounds.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::guests::{Guests, Seat};

/// How often the log tells of peers with too many connections.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The pause after a failed accept, which is mostly the lack of a file descriptor.
const PAUSE: Duration = Duration::from_millis(50);

/// How many connections are taken.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
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
    bounds: Bounds,
    closing: CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr, Seat) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (guests, mut connections) = (Guests::new(bounds.per_peer), JoinSet::new());
    let mut told: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            accepted = listener.accept(), if connections.len() < bounds.connections => accepted,
        };
        match accepted {
            Ok((io, peer)) => match guests.seat(peer.ip()) {
                Some(seat) => {
                    connections.spawn(serve(io, peer, seat));
                    if connections.len() == bounds.connections {
                        tracing::warn!(bounds.connections, "no further connection is taken now");
                    }
                }
                None if told.is_none_or(|last| last.elapsed() >= TELL_AGAIN) => {
                    told = Some(Instant::now());
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
