//! The deadline for the HTTP/2 preface of a connection: hyper waits for it as long as it takes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Length of the client's preface, in bytes (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// A connection whose reads fail when the client's preface is not complete in time. Afterwards pings tell whether the
/// client is there.
#[derive(Debug)]
pub(crate) struct PrefaceDeadline<I> {
    io: I,
    awaited: Option<Awaited>,
}

/// The rest of a preface.
#[derive(Debug)]
struct Awaited {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<I> PrefaceDeadline<I> {
    /// Wraps a connection whose preface must be complete at `deadline`.
    pub(crate) fn new(io: I, deadline: Instant) -> Self {
        let deadline = Box::pin(sleep_until(deadline));
        Self { io, awaited: Some(Awaited { missing: PREFACE, deadline }) }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for PrefaceDeadline<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(awaited) = &mut self.awaited {
            if read.is_pending() {
                ready!(awaited.deadline.as_mut().poll(cx));
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no HTTP/2 preface in time",
                )));
            }
            awaited.missing = awaited.missing.saturating_sub(buf.filled().len() - before);
            if awaited.missing == 0 {
                self.awaited = None;
            }
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for PrefaceDeadline<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn part_of_a_preface_is_not_waited_for_beyond_the_deadline() {
        let began = Instant::now();
        let (mut client, server) = duplex(64);
        let mut server = PrefaceDeadline::new(server, began + Duration::from_secs(10));
        client.write_all(&[b'P'; PREFACE - 1]).await.unwrap();
        let failed = server.read_exact(&mut [0; PREFACE]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_preface_there_is_no_deadline() {
        let deadline = Instant::now() + Duration::from_secs(10);
        let (mut client, server) = duplex(64);
        let mut server = PrefaceDeadline::new(server, deadline);
        client.write_all(&[b'P'; PREFACE]).await.unwrap();
        // In two parts, as they may come.
        for part in [PREFACE - 5, 5] {
            assert_eq!(server.read_exact(&mut vec![0; part]).await.unwrap(), part);
        }
        let late = async {
            tokio::time::advance(Duration::from_secs(60)).await;
            client.write_all(b"late").await
        };
        let mut read = [0; 4];
        let (written, seen) = tokio::join!(late, server.read_exact(&mut read));
        assert_eq!((written.unwrap(), seen.unwrap(), read), ((), 4, *b"late"));
    }
}
