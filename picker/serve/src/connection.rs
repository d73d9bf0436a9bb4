//! The life of one connection, from its first byte to its last stream.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::accept::Accepted;
use crate::authority::AuthorityRepair;
use crate::connection_task::{ConnectionTask, NewStreams};
use crate::corked_io::corked;
use crate::ledger::{Excess, Ledger, PATROL};
use crate::preface::PrefaceDeadline;
use crate::spawned_streams::SpawnedStreams;
use crate::{ResponseBody, Server, StreamService, StreamTasks, Windows};

/// How many streams may be reset by the gateway before they were looked at; hyper takes 20 for an attack, which a few
/// dozen impatient clients would be. Streams are looked at whenever 64 KiB were read, which are a hundred requests of a
/// gateway that were given up, and thousands of an attacker.
const MAX_PENDING_RESETS: usize = 256;

/// How often a gateway is pinged, and how long its answer may take. One that went away without a word is noticed within twice this time, and its requests are no
/// longer counted.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// The most bytes of the headers of a stream. Gateways send some hundred: those of requests come in messages.
const HEADERS: u32 = 8 << 10;

/// A connection of which many streams were refused has its next turn after this time, in which others have theirs.
const PAUSE: Duration = Duration::from_millis(25);

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
    #[error(transparent)]
    Excess(#[from] Excess),
}

impl Server {
    pub(crate) async fn connection<S, B>(
        self,
        accepted: Accepted,
        service: S,
        closing: CancellationToken,
    ) -> Result<(), ConnectionError>
    where
        S: StreamService<B>,
        B: ResponseBody,
    {
        let Accepted { io, permit, meter, .. } = accepted;
        let ledger = Ledger::open(meter.clone(), permit, self.memory.clone())?;
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
                let (io, flusher) = corked(io, meter);
                let io = TokioIo::new(AuthorityRepair::new(PrefaceDeadline::new(io, deadline)));
                let streams = NewStreams::default();
                let connection = self.builder(streams.clone()).serve_connection(io, service);
                let task = pin!(ConnectionTask::new(Box::pin(connection), streams, flusher));
                let shutdown =
                    |mut task: Pin<&mut ConnectionTask<Pin<Box<http2::Connection<_, _, _>>>, _>>| {
                        task.connection().as_mut().graceful_shutdown();
                    };
                self.live(task, shutdown, closing, ledger).await
            }
            StreamTasks::Spawned => {
                let io = TokioIo::new(AuthorityRepair::new(PrefaceDeadline::new(io, deadline)));
                let streams = SpawnedStreams::default();
                let connection = pin!(self.builder(streams.spawner()).serve_connection(io, service));
                self.live(connection, http2::Connection::graceful_shutdown, closing, ledger).await
            }
        }
    }

    /// Runs `connection` to its end, with `shutdown` when it is old or the server is closing.
    async fn live<F: Future<Output = hyper::Result<()>>>(
        &self,
        mut connection: Pin<&mut F>,
        shutdown: impl FnOnce(Pin<&mut F>),
        closing: CancellationToken,
        mut ledger: Ledger,
    ) -> Result<(), ConnectionError> {
        let age = self.connection_age.map(|age| Instant::now() + age.mul_f64(rand::random_range(0.9..1.1)));
        let young = async {
            tokio::select! {
                () = closing.cancelled() => {}
                () = sleep_until(age.unwrap_or_else(Instant::now)), if age.is_some() => {}
            }
        };
        if let Some(ended) = until(connection.as_mut(), &mut ledger, pin!(young)).await {
            return ended;
        }
        shutdown(connection.as_mut());
        // Its peer opens another one now.
        ledger.lives_on();
        let linger = async {
            match self.linger {
                Some(linger) => sleep(linger).await,
                None => std::future::pending().await,
            }
        };
        until(connection, &mut ledger, pin!(linger)).await.unwrap_or(Err(ConnectionError::Linger))
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
            _ if self.plaintext => Ok(Either::Left(io)),
            _ => Err(io::Error::other("plaintext, where TLS alone is taken")),
        }
    }

    fn builder<E: Clone>(&self, executor: E) -> http2::Builder<E> {
        let Windows { streams, stream, connection } = self.windows;
        let mut builder = http2::Builder::new(executor);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(streams)
            .initial_stream_window_size(stream)
            .initial_connection_window_size(connection)
            .max_header_list_size(HEADERS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            // Streams that end here before the gateway has sent all of its request are no attack of the gateway:
            // after a thousand of them `h2` would close the connection, with every other stream on it. Those that it
            // makes end so are counted with those that it resets (`ledger`).
            .max_local_error_reset_streams(None)
            // No gateway reads it.
            .auto_date_header(false)
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE);
        builder
    }
}

/// Polls `connection`, and keeps its `ledger`, until it ends, or `end` comes: then `None`.
async fn until<F: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut F>,
    ledger: &mut Ledger,
    mut end: Pin<&mut impl Future<Output = ()>>,
) -> Option<Result<(), ConnectionError>> {
    let mut patrol = pin!(sleep(PATROL));
    let (mut pause, mut waits) = (pin!(sleep(Duration::ZERO)), false);
    poll_fn(|cx| {
        if waits && pause.as_mut().poll(cx).is_pending() {
            return end.as_mut().poll(cx).map(|()| None);
        }
        ledger.begin();
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(ended.map_err(ConnectionError::from)));
        }
        waits = ledger.has_to_wait();
        if waits {
            pause.as_mut().reset(Instant::now() + PAUSE);
            // Wakes this even if it is over by now.
            let _ = pause.as_mut().poll(cx).map(|()| cx.waker().wake_by_ref());
        }
        let mut kept = ledger.settle();
        while kept.is_ok() && patrol.as_mut().poll(cx).is_ready() {
            patrol.as_mut().reset(Instant::now() + PATROL);
            kept = ledger.patrol();
        }
        match kept {
            Err(excess) => Poll::Ready(Some(Err(excess.into()))),
            Ok(()) => end.as_mut().poll(cx).map(|()| None),
        }
    })
    .await
}

/// An error with its causes, which hyper keeps to itself.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |e| (**e).source());
    causes.fold(error.to_string(), |all, cause| format!("{all}: {cause}"))
}
