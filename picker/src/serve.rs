//! Serving gRPC to gateways: one port for TLS and plaintext HTTP/2, connections of limited age, a graceful
//! end.

mod connection;
pub mod guests;
mod preface;
mod streams;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use guests::Guests;

/// How connections are served.
#[derive(Clone)]
pub struct Serve {
    /// Takes TLS connections; plaintext ones are taken in any case. `None` is plaintext only.
    pub tls: Option<TlsAcceptor>,
    /// After this time, varied by a tenth, a connection is told to take new streams elsewhere, and lives on
    /// until its last stream ends. Gateways keep one connection to one replica otherwise, whatever its
    /// load.
    pub connection_age: Option<Duration>,
    /// The longest it lives on then, if there is a limit.
    pub linger: Option<Duration>,
    /// The longest a connection may take to end its TLS handshake and to say that it speaks HTTP/2.
    pub handshake: Duration,
    /// The most connections at once. Further ones wait, and are taken when others end.
    pub connections: usize,
    /// The most connections of one address that take new streams, and a quarter of those that it may have in
    /// all. A further one is closed.
    pub per_peer: usize,
}

impl Default for Serve {
    /// Plaintext, connections of 60 s and until their last stream ends, handshakes of 10 s, 8,192 connections,
    /// and 1,024 of one address: an Envoy has one for each of its worker threads, which are as many as its
    /// machine has cores, and all gateways behind one address translation are one peer.
    fn default() -> Self {
        Self {
            tls: None,
            connection_age: Some(Duration::from_secs(60)),
            linger: None,
            handshake: Duration::from_secs(10),
            connections: 8192,
            per_peer: 1024,
        }
    }
}

/// How often the log tells of peers with too many connections.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The pause after a failed accept, which is mostly the lack of a file descriptor.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Serve {
    /// For probes: short connections of few, so that nobody keeps those of a kubelet away by holding many.
    pub fn for_probes() -> Self {
        Self {
            connection_age: Some(Duration::from_secs(15)),
            linger: Some(Duration::from_secs(15)),
            connections: 1024,
            per_peer: 32,
            ..Self::default()
        }
    }

    /// Serves `routes` until `closing` is cancelled; then takes no more connections, tells the open ones to
    /// go elsewhere, and returns when the last stream has ended. To end it sooner, drop the future.
    pub async fn run(self, listener: TcpListener, routes: Routes, closing: CancellationToken) {
        let routes = routes.prepare();
        let (guests, mut connections) = (Guests::new(self.per_peer), JoinSet::new());
        let mut refused = None;
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => break,
                Some(ended) = connections.join_next() => log_panic(ended),
                accepted = listener.accept(), if connections.len() < self.connections => match accepted {
                    Ok((io, peer)) => {
                        let Some(seat) = guests.seat(peer.ip()) else {
                            if refused.is_none_or(|last: Instant| last.elapsed() >= TELL_AGAIN) {
                                refused = Some(Instant::now());
                                tracing::warn!(%peer, "closing a connection too many of this peer");
                            }
                            continue;
                        };
                        if connections.len() + 1 == self.connections {
                            tracing::warn!(connections = self.connections, "no further connection is taken now");
                        }
                        let (serve, routes, closing) = (self.clone(), routes.clone(), closing.clone());
                        connections.spawn(async move {
                            if let Err(error) = serve.connection(io, routes, closing, seat).await {
                                tracing::debug!(%peer, error, "a connection ended");
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "serving a connection failed");
    }
}
