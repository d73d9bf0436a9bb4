//! How much of a connection is read before its streams have their turn.
//!
//! `h2` reads as long as something comes, and a gateway that sends the answers of thousands of model servers can send
//! faster than a stream is polled. What lies unread takes memory, and too much of it ends the connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads in a turn. The runtime lets a task read and write 128 times before it asks for its thread back; without a
/// limit well below that, a connection that reads so often would never write.
pub(super) const READS: usize = 16;

/// What is left of the present turn. Shared by its clones, which all belong to one task.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<Left>);

#[derive(Debug, Default)]
struct Left {
    reads: AtomicUsize,
    cut_short: AtomicBool,
}

impl Turn {
    /// The next one begins.
    pub(super) fn begin(&self) {
        self.0.reads.store(READS, Ordering::Relaxed);
        self.0.cut_short.store(false, Ordering::Relaxed);
    }

    /// Whether a read was put off until the next: nobody else wakes the task for it.
    pub(super) fn cut_short(&self) -> bool {
        self.0.cut_short.load(Ordering::Relaxed)
    }

    fn may_read(&self) -> bool {
        let left = self.0.reads.load(Ordering::Relaxed);
        self.0.reads.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 {
            self.0.cut_short.store(true, Ordering::Relaxed);
        }
        left > 0
    }
}

/// A connection of which no more is read in a turn than [`READS`] times.
#[derive(Debug)]
pub(super) struct Paced<I> {
    io: I,
    turn: Turn,
}

impl<I> Paced<I> {
    /// Reads of `io` are put off when `turn` has no more of them.
    pub(super) fn new(io: I, turn: Turn) -> Self {
        Self { io, turn }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Paced<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.turn.may_read() {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Paced<I> {
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
