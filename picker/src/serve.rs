//! Serving gRPC to gateways: one port for TLS and plaintext HTTP/2, connections of limited age, a graceful
//! end.

mod connection;
mod preface;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// How connections are served.
#[derive(Clone)]
pub struct Serve {
    /// Takes TLS connections; plaintext ones are taken in any case. `None` is plaintext only.
    pub tls: Option<TlsAcceptor>,
    /// After this time, varied by a tenth, a connection is told to take new streams elsewhere, and lives on
    /// until its last stream ends. Gateways keep one connection to one replica otherwise, whatever its
    /// load.
    pub connection_age: Option<Duration>,
    /// The longest a connection may take to end its TLS handshake and to say that it speaks HTTP/2.
    pub handshake: Duration,
    /// The most connections at once. Further ones wait, and are taken when others end.
    pub connections: usize,
}

impl Default for Serve {
    /// Plaintext, connections of 60 s, handshakes of 10 s, 10,000 connections.
    fn default() -> Self {
        Self {
            tls: None,
            connection_age: Some(Duration::from_secs(60)),
            handshake: Duration::from_secs(10),
            connections: 10_000,
        }
    }
}

/// The pause after a failed accept, which is mostly the lack of a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Serve {
    /// Serves `routes` until `closing` is cancelled; then takes no more connections, tells the open ones to
    /// go elsewhere, and returns when the last stream has ended. To end it sooner, drop the future.
    pub async fn run(self, listener: TcpListener, routes: Routes, closing: CancellationToken) {
        let routes = routes.prepare();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => break,
                Some(ended) = connections.join_next() => log_panic(ended),
                accepted = listener.accept(), if connections.len() < self.connections => match accepted {
                    Ok((io, peer)) => {
                        let (serve, routes, closing) = (self.clone(), routes.clone(), closing.clone());
                        connections.spawn(async move {
                            if let Err(error) = serve.connection(io, routes, closing).await {
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
