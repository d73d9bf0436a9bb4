//! An HTTP/2 server for gateways: one port for TLS and plaintext, connections of limited age and number, a graceful
//! end.
//!
//! [`Server::run`] serves a service on a listener; [`accept`] is its loop for connections of other protocols. Below
//! them, from the socket upwards:
//!
//! ```text
//! accept ─ peer_limits        takes connections, within limits
//! ├─ pace                     so many new ones of a peer in each second
//! └─ places                   which one gives up its place when there is none
//! connection                  TLS or plaintext, age, graceful shutdown
//! ├─ ledger ─ memory          what it may hold of a budget that all share
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
mod ledger;
pub mod memory;
pub mod pace;
pub mod peer_limits;
mod places;
mod preface;
mod spawned_streams;
mod sync;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use accept::{Accepted, ConnectionLimits, accept};
use memory::{Budget, Meter};

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

/// What a client may send without waiting for this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The most streams of a connection at once. Every request at a gateway is one; hyper takes 200 by itself.
    pub streams: u32,
    /// The flow-control window of a stream, in bytes. Small against the connection's, so that hundreds of streams
    /// whose gateway does not read hold up no other.
    pub stream: u32,
    /// The flow-control window of a connection, in bytes.
    ///
    /// `h2` closes a connection on which too many small frames lie unread, and counts them against half of this
    /// window: streamed tokens of thousands of requests are just that. What lies unread for long counts as memory of
    /// the connection.
    pub connection: u32,
}

impl Default for Windows {
    /// 100,000 streams, 256 KiB and 64 MiB.
    fn default() -> Self {
        Self { streams: 100_000, stream: 256 << 10, connection: 64 << 20 }
    }
}

/// The settings of an HTTP/2 server.
#[derive(Clone)]
pub struct Server {
    /// Takes TLS connections; `None` is plaintext only.
    pub tls: Option<TlsAcceptor>,
    /// Whether plaintext connections are taken beside those of TLS.
    pub plaintext: bool,
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
    /// How many streams there may be of a connection, and how much of what they bring may lie unread.
    pub windows: Windows,
    /// The memory that connections and streams share with others; none is no limit.
    pub memory: Option<Arc<dyn Budget>>,
    /// Which tasks streams run in.
    pub stream_tasks: StreamTasks,
}

impl Default for Server {
    /// Plaintext, connections of 60 s and until their last stream ends, handshakes of 10 s, 8,192 connections,
    /// and 1,024 of one address and 128 more each second: an Envoy has one for each of its worker threads, which are
    /// as many as its machine has cores, and all gateways behind one address translation are one peer.
    fn default() -> Self {
        Self {
            tls: None,
            plaintext: true,
            connection_age: Some(Duration::from_secs(60)),
            linger: None,
            handshake: Duration::from_secs(10),
            limits: ConnectionLimits { connections: 8192, per_peer: 1024, per_peer_and_second: 128 },
            windows: Windows::default(),
            memory: None,
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
            limits: ConnectionLimits { connections: 1024, per_peer: 32, per_peer_and_second: 64 },
            windows: Windows { streams: 16, stream: 16 << 10, connection: 64 << 10 },
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
        let each = |meter: &Meter| Counted { service: service.clone(), meter: meter.clone() };
        self.run_each(listener, each, closing).await;
    }

    /// The same with a service for each connection, made by `each` with the meter of the connection: it tells the meter
    /// what its streams hold and do.
    pub async fn run_each<S, B>(
        self,
        listener: TcpListener,
        each: impl Fn(&Meter) -> S,
        closing: CancellationToken,
    ) where
        S: StreamService<B>,
        B: ResponseBody,
    {
        let (limits, end) = (self.limits, closing.clone());
        let serve = |accepted: Accepted| {
            let (peer, service) = (accepted.peer, each(&accepted.meter));
            let connection = self.clone().connection(accepted, service, end.clone());
            async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%peer, %error, "a connection ended");
                }
            }
        };
        accept(listener, limits, closing, serve).await;
    }
}

/// A service each of whose requests is work of its connection.
#[derive(Clone, Debug)]
struct Counted<S> {
    service: S,
    meter: Meter,
}

impl<S: tower::Service<R>, R> tower::Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.meter.worked();
        self.service.call(request)
    }
}
