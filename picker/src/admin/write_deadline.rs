//! I/O that fails when its peer does not read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection whose writes fail when nothing could be written for a time.
#[derive(Debug)]
pub(super) struct WriteDeadline<I> {
    io: I,
    longest: Duration,
    due: Option<Pin<Box<Sleep>>>,
}

impl<I> WriteDeadline<I> {
    /// Lets each write to `io` wait for at most `longest`.
    pub(super) fn new(io: I, longest: Duration) -> Self {
        Self { io, longest, due: None }
    }
}

impl<I: Unpin> WriteDeadline<I> {
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut I>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let done = poll(Pin::new(&mut self.io), cx);
        if done.is_ready() {
            self.due = None;
            return done;
        }
        let longest = self.longest;
        let due = self.due.get_or_insert_with(|| Box::pin(sleep(longest)));
        due.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WriteDeadline<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |io, cx| io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |io, cx| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |io, cx| io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |io, cx| io.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_not_waited_for() {
        let (began, longest) = (Instant::now(), Duration::from_secs(5));
        let (mut peer, io) = duplex(10);
        let mut io = WriteDeadline::new(io, longest);
        let read = async {
            tokio::time::sleep(longest - Duration::from_secs(1)).await;
            peer.read_exact(&mut [0; 10]).await
        };
        let (written, _) = tokio::join!(io.write_all(&[7; 20]), read);
        written.unwrap();
        let late = io.write_all(&[7; 1]).await.unwrap_err();
        assert_eq!((late.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 4 + 5));
    }
}
