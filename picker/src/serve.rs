//! Serving gRPC to gateways: one port for TLS and plaintext HTTP/2, connections of limited age, a graceful
//! end.

pub mod accept;
mod connection;
pub mod guests;
mod preface;
mod streams;
#[cfg(test)]
mod tests;
mod turn;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use accept::{Bounds, accept};

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
    /// How many connections there may be.
    pub bounds: Bounds,
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
            bounds: Bounds { connections: 8192, per_peer: 1024 },
        }
    }
}

impl Serve {
    /// For probes: short connections of few, so that nobody keeps those of a kubelet away by holding many.
    pub fn for_probes() -> Self {
        Self {
            connection_age: Some(Duration::from_secs(15)),
            linger: Some(Duration::from_secs(15)),
            bounds: Bounds { connections: 1024, per_peer: 32 },
            ..Self::default()
        }
    }

    /// Serves `routes` until `closing` is cancelled; then takes no more connections, tells the open ones to
    /// go elsewhere, and returns when the last stream has ended. To end it sooner, drop the future.
    pub async fn run(self, listener: TcpListener, routes: Routes, closing: CancellationToken) {
        let (routes, bounds, end) = (routes.prepare(), self.bounds, closing.clone());
        let serve = |io, peer, seat| {
            let connection = self.clone().connection(io, routes.clone(), end.clone(), seat);
            async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%peer, error, "a connection ended");
                }
            }
        };
        accept(listener, bounds, closing, serve).await;
    }
}
