//! An HTTP/2 server for gateways: one port for TLS and plaintext, connections of limited age and number, a graceful
//! end.
//!
//! [`Server::run`] serves a service on a listener; [`accept`] is its loop for connections of other protocols. Below
//! them, from the socket upwards:
//!
//! ```text
//! accept ─ peer_limits        takes connections, within limits
//! connection                  TLS or plaintext, age, graceful shutdown
//! ├─ corked_io ─ io_buffer    one write for what all streams have answered
//! ├─ preface                  a deadline for the first bytes
//! ├─ authority                lets Istio's `:authority` through to h2
//! └─ connection_task          a connection and its streams as one task
//!    └─ coalescing_waker      their waker
//! ```
//!
//! hyper speaks HTTP/2. It runs each stream as a task; by default this server polls all streams in the task of their
//! connection (see [`StreamTasks`]).

pub mod accept;
pub mod authority;
mod coalescing_waker;
mod connection;
mod connection_task;
mod corked_io;
mod io_buffer;
pub mod peer_limits;
mod preface;
mod spawned_streams;
mod sync;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use accept::{ConnectionLimits, accept};

/// A service of HTTP/2 requests whose responses have bodies of `B`, as [`Server::run`] takes it. Each connection has a
/// clone.
pub trait StreamService<B>:
    tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S, B> StreamService<B> for S where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The body of a response.
pub trait ResponseBody: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static {}

impl<B> ResponseBody for B where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static
{
}

/// Which tasks the streams of a connection run in. Clients see no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamTasks {
    /// In the task of their connection, which reads and writes for all of them at once: fewer system calls, and fewer
    /// wake-ups of tasks.
    #[default]
    Joined,
    /// Each in a task of its own, on a connection that reads and writes frame by frame: what hyper does by itself.
    /// For measuring the gain of [`Joined`](Self::Joined).
    Spawned,
}

/// The settings of an HTTP/2 server.
#[derive(Clone)]
pub struct Server {
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
    pub limits: ConnectionLimits,
    /// Which tasks streams run in.
    pub stream_tasks: StreamTasks,
}

impl Default for Server {
    /// Plaintext, connections of 60 s and until their last stream ends, handshakes of 10 s, 8,192 connections,
    /// and 1,024 of one address: an Envoy has one for each of its worker threads, which are as many as its
    /// machine has cores, and all gateways behind one address translation are one peer.
    fn default() -> Self {
        Self {
            tls: None,
            connection_age: Some(Duration::from_secs(60)),
            linger: None,
            handshake: Duration::from_secs(10),
            limits: ConnectionLimits { connections: 8192, per_peer: 1024 },
            stream_tasks: StreamTasks::default(),
        }
    }
}

impl Server {
    /// Settings for health probes: few and short connections, so that no peer can use up those that the kubelet needs.
    pub fn for_probes() -> Self {
        Self {
            connection_age: Some(Duration::from_secs(15)),
            linger: Some(Duration::from_secs(15)),
            limits: ConnectionLimits { connections: 1024, per_peer: 32 },
            ..Self::default()
        }
    }

    /// Serves `service` until `closing` is cancelled; then takes no more connections, tells the open ones to
    /// go elsewhere, and returns when the last stream has ended. To end it sooner, drop the future.
    pub async fn run<S, B>(self, listener: TcpListener, service: S, closing: CancellationToken)
    where
        S: StreamService<B>,
        B: ResponseBody,
    {
        let (limits, end) = (self.limits, closing.clone());
        let serve = |io, peer, permit| {
            let connection = self.clone().connection(io, service.clone(), end.clone(), permit);
            async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%peer, %error, "a connection ended");
                }
            }
        };
        accept(listener, limits, closing, serve).await;
    }
}
