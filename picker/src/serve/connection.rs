//! One connection, from its first byte to its last stream.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::batch::batched;
use super::guests::Seat;
use super::preface::Prompt;
use super::streams::{Inbox, Together};
use super::{Answers, Serve};
use crate::extproc::authority::Authority;

/// Every request at a gateway is a stream; hyper takes 200 at once by itself.
const MAX_STREAMS: u32 = 100_000;

/// Small against the connection's, so that hundreds of streams whose gateway does not read hold up no other.
const STREAM_WINDOW: u32 = 256 << 10;

/// `h2` closes a connection on which too many small frames lie unread, and counts them against half of this
/// window: streamed tokens of thousands of requests are just that. Bounded are the connections instead
/// ([`Bounds::per_peer`](super::accept::Bounds::per_peer)).
const CONNECTION_WINDOW: u32 = 64 << 20;

/// How many streams may be reset by the gateway before they were looked at; hyper takes 20 for an attack,
/// which a few dozen impatient clients would be.
const MAX_PENDING_RESETS: usize = 10_000;

/// A gateway that went away without a word is noticed within twice this time, and its requests are no
/// longer counted.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// The first byte of a TLS record that holds a ClientHello. A plaintext connection begins with `P`.
const TLS_HANDSHAKE: u8 = 0x16;

type Io = Either<TcpStream, TlsStream<TcpStream>>;

impl Serve {
    pub(super) async fn connection<S: Answers>(
        self,
        io: TcpStream,
        service: S,
        closing: CancellationToken,
        mut seat: Seat,
    ) -> Result<(), String> {
        let deadline = Instant::now() + self.handshake;
        let opened = tokio::select! {
            biased;
            // Nothing was promised to a connection that has said nothing.
            () = closing.cancelled() => return Ok(()),
            opened = timeout_at(deadline, self.open(io)) => opened,
        };
        let io = opened.map_err(|_| "no handshake in time".to_owned())?.map_err(|e| e.to_string())?;
        let (io, pipe) = batched(io);
        let io = TokioIo::new(Authority::new(Prompt::new(io, deadline)));
        let inbox = Inbox::default();
        let connection = builder(inbox.clone()).serve_connection(io, TowerToHyperService::new(service));
        let mut connection = pin!(Together::new(Box::pin(connection), inbox, pipe));
        let age = self.connection_age.map(|age| Instant::now() + age.mul_f64(rand::random_range(0.9..1.1)));
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(|e| chain(&e)),
            () = closing.cancelled() => {}
            () = sleep_until(age.unwrap_or_else(Instant::now)), if age.is_some() => {}
        }
        connection.connection().as_mut().graceful_shutdown();
        // Its peer opens another one now.
        seat.lives_on();
        let ended = match self.linger {
            Some(linger) => {
                timeout(linger, connection).await.map_err(|_| "it lived on for too long".to_owned())?
            }
            None => connection.await,
        };
        ended.map_err(|e| chain(&e))
    }

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

fn builder(inbox: Inbox) -> http2::Builder<Inbox> {
    let mut builder = http2::Builder::new(inbox);
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
