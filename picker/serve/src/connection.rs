//! The life of one connection, from its first byte to its last stream.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::authority::AuthorityRepair;
use crate::connection_task::{ConnectionTask, NewStreams};
use crate::corked_io::corked;
use crate::peer_limits::ConnectionPermit;
use crate::preface::PrefaceDeadline;
use crate::spawned_streams::SpawnedStreams;
use crate::{ResponseBody, Server, StreamService, StreamTasks};

/// The most streams of a connection at once. Every request at a gateway is one; hyper takes 200 by itself.
const MAX_STREAMS: u32 = 100_000;

/// The flow-control window of a stream, in bytes. Small against the connection's, so that hundreds of streams whose gateway does not read hold up no other.
const STREAM_WINDOW: u32 = 256 << 10;

/// The flow-control window of a connection, in bytes.
///
/// `h2` closes a connection on which too many small frames lie unread, and counts them against half of this
/// window: streamed tokens of thousands of requests are just that. Bounded are the connections instead
/// ([`per_peer`](crate::accept::ConnectionLimits::per_peer)).
const CONNECTION_WINDOW: u32 = 64 << 20;

/// How many streams may be reset by the gateway before they were looked at; hyper takes 20 for an attack,
/// which a few dozen impatient clients would be.
const MAX_PENDING_RESETS: usize = 10_000;

/// How often a gateway is pinged, and how long its answer may take. One that went away without a word is noticed within twice this time, and its requests are no
/// longer counted.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// The first byte of a TLS record that holds a ClientHello. A plaintext connection begins with `P`.
const TLS_HANDSHAKE: u8 = 0x16;

type Io = Either<TcpStream, TlsStream<TcpStream>>;

/// Why a connection ended before its last stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("no handshake in time")]
    Handshake,
    #[error(transparent)]
    Open(#[from] io::Error),
    #[error("{}", chain(.0))]
    Http2(#[from] hyper::Error),
    #[error("it lived on for too long")]
    Linger,
}

impl Server {
    pub(crate) async fn connection<S, B>(
        self,
        io: TcpStream,
        service: S,
        closing: CancellationToken,
        permit: ConnectionPermit,
    ) -> Result<(), ConnectionError>
    where
        S: StreamService<B>,
        B: ResponseBody,
    {
        let deadline = Instant::now() + self.handshake;
        let opened = tokio::select! {
            biased;
            // Nothing was promised to a connection that has said nothing.
            () = closing.cancelled() => return Ok(()),
            opened = timeout_at(deadline, self.open(io)) => opened,
        };
        let io = opened.map_err(|_| ConnectionError::Handshake)??;
        let service = TowerToHyperService::new(service);
        match self.stream_tasks {
            StreamTasks::Joined => {
                let (io, flusher) = corked(io);
                let io = TokioIo::new(AuthorityRepair::new(PrefaceDeadline::new(io, deadline)));
                let streams = NewStreams::default();
                let connection = builder(streams.clone()).serve_connection(io, service);
                let task = pin!(ConnectionTask::new(Box::pin(connection), streams, flusher));
                let shutdown =
                    |mut task: Pin<&mut ConnectionTask<Pin<Box<http2::Connection<_, _, _>>>, _>>| {
                        task.connection().as_mut().graceful_shutdown();
                    };
                self.live(task, shutdown, closing, permit).await
            }
            StreamTasks::Spawned => {
                let io = TokioIo::new(AuthorityRepair::new(PrefaceDeadline::new(io, deadline)));
                let streams = SpawnedStreams::default();
                let connection = pin!(builder(streams.spawner()).serve_connection(io, service));
                self.live(connection, http2::Connection::graceful_shutdown, closing, permit).await
            }
        }
    }

    /// Runs `connection` to its end, with `shutdown` when it is old or the server is closing.
    async fn live<F: Future<Output = hyper::Result<()>>>(
        &self,
        mut connection: Pin<&mut F>,
        shutdown: impl FnOnce(Pin<&mut F>),
        closing: CancellationToken,
        mut permit: ConnectionPermit,
    ) -> Result<(), ConnectionError> {
        let age = self.connection_age.map(|age| Instant::now() + age.mul_f64(rand::random_range(0.9..1.1)));
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = closing.cancelled() => {}
            () = sleep_until(age.unwrap_or_else(Instant::now)), if age.is_some() => {}
        }
        shutdown(connection.as_mut());
        // Its peer opens another one now.
        permit.lives_on();
        let ended = match self.linger {
            Some(linger) => timeout(linger, connection).await.map_err(|_| ConnectionError::Linger)?,
            None => connection.await,
        };
        Ok(ended?)
    }

    /// The TLS handshake of a connection that begins one, within no time of its own.
    async fn open(&self, io: TcpStream) -> io::Result<Io> {
        io.set_nodelay(true)?;
        let mut first = [0];
        if io.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.tls {
            Some(tls) if first[0] == TLS_HANDSHAKE => Ok(Either::Right(tls.accept(io).await?)),
            _ => Ok(Either::Left(io)),
        }
    }
}

fn builder<E: Clone>(executor: E) -> http2::Builder<E> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        // Streams that end here before the gateway has sent all of its request are no attack of the gateway:
        // after a thousand of them `h2` would close the connection, with every other stream on it.
        .max_local_error_reset_streams(None)
        // No gateway reads it.
        .auto_date_header(false)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    builder
}

/// An error with its causes, which hyper keeps to itself.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |e| (**e).source());
    causes.fold(error.to_string(), |all, cause| format!("{all}: {cause}"))
}
