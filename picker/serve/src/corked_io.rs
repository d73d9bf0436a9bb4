//! The I/O of a connection that reads ahead, and holds back what is written until it is flushed for all streams at once.
//!
//! `h2` writes each DATA frame of more than 256 bytes by itself, and reads about a frame at a time. Over loopback and
//! on a virtual network most of a small write's cost is the call, and waking its reader. Here what a connection and its
//! streams write while they are polled goes out together, and what has come in is read together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::connection_task::Transport;
use crate::io_buffer::{IoBuffer, SIZE};
use crate::memory::{Meter, REFUSED};

/// How many bytes are read before the streams of the connection are polled. `h2` reads as long as something comes, and a
/// gateway that sends the answers of thousands of model servers can send faster than streams are polled: what lies unread
/// takes memory, and too much of it ends the connection.
const READ_PER_ROUND: usize = 64 << 10;

/// How many bytes are read at a time once a stream was refused: some dozens are opened in so many.
const READ_OF_REFUSED: usize = 1 << 10;

/// The end that the connection reads and writes. What is written goes out when the [`Flusher`] is told to, or when the
/// buffer is full.
#[derive(Debug)]
pub(crate) struct CorkedIo<I>(Arc<Mutex<State<I>>>);

/// The end that the task of the connection has.
#[derive(Debug)]
pub(crate) struct Flusher<I>(Arc<Mutex<State<I>>>);

/// The state of both ends. One task has them, so the lock is never waited for.
#[derive(Debug)]
struct State<I> {
    io: I,
    /// Read, and not yet asked for.
    incoming: IoBuffer,
    /// Not yet written.
    outgoing: IoBuffer,
    failed: Option<io::ErrorKind>,
    /// How many bytes may still be read in this round.
    readable: usize,
    meter: Meter,
}

/// Makes both ends of `io`, whose bytes `meter` counts.
pub(crate) fn corked<I>(io: I, meter: Meter) -> (CorkedIo<I>, Flusher<I>) {
    let state = State {
        io,
        incoming: IoBuffer::default(),
        outgoing: IoBuffer::default(),
        failed: None,
        readable: READ_PER_ROUND,
        meter,
    };
    let state = Arc::new(Mutex::new(state));
    (CorkedIo(state.clone()), Flusher(state))
}

fn lock<I>(state: &Mutex<State<I>>) -> MutexGuard<'_, State<I>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I: AsyncRead + AsyncWrite + Unpin> State<I> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // From a peer that does not read what it asked for, nothing further is read: `h2` has no limit for answers of
        // its own, as to pings and settings.
        if self.outgoing.left().len() >= SIZE {
            ready!(self.poll_flush(cx))?;
        }
        if self.incoming.left().is_empty() {
            let read = poll_read_buf(Pin::new(&mut self.io), cx, self.incoming.bytes());
            let Poll::Ready(Ok(n @ 1..)) = read else {
                self.incoming.clear();
                return read.map_ok(drop);
            };
            self.meter.count_read(n);
        }
        let refusals = self.meter.refusals();
        if self.readable == 0 || refusals >= REFUSED {
            // There is more, in the next round.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let left = self.incoming.left();
        // Of streams that will be refused no more are begun than that.
        let most = if refusals == 0 { self.readable } else { self.readable.min(READ_OF_REFUSED) };
        let n = left.len().min(buf.remaining()).min(most);
        buf.put_slice(&left[..n]);
        self.readable -= n;
        self.incoming.take(n);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> State<I> {
    /// Takes what there is room for.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.outgoing.bytes().len() >= SIZE {
            ready!(self.poll_flush(cx))?;
        }
        if let Some(kind) = self.failed {
            return Poll::Ready(Err(kind.into()));
        }
        let bytes = self.outgoing.bytes();
        let before = bytes.len();
        for slice in slices {
            let room = SIZE - bytes.len();
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let after = bytes.len();
        self.meter.count_written(0, after);
        Poll::Ready(Ok(after - before))
    }

    /// Writes all that there is.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.left().is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, self.outgoing.left()));
            match written.and_then(|n| if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) }) {
                Ok(n) => {
                    self.outgoing.take(n);
                    self.meter.count_written(n, self.outgoing.left().len());
                }
                Err(error) => {
                    self.outgoing.clear();
                    self.meter.count_written(0, 0);
                    self.failed = Some(error.kind());
                    return Poll::Ready(Err(error));
                }
            }
        }
        // TLS has a buffer of its own.
        let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
        if let Err(error) = &flushed {
            self.failed = Some(error.kind());
        }
        Poll::Ready(flushed)
    }
}

impl<I: AsyncWrite + Unpin> Transport for Flusher<I> {
    fn begin_round(&self) {
        lock(&self.0).readable = READ_PER_ROUND;
    }

    /// What does not fit is written when the task is woken again; an error is told to the connection, which is to be
    /// polled again.
    fn flush(&self, cx: &mut Context<'_>) {
        let mut state = lock(&self.0);
        let Poll::Ready(sent) = state.poll_flush(cx) else { return };
        if sent.is_err() {
            cx.waker().wake_by_ref();
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for CorkedIo<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        match state.failed {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => state.poll_read(cx, buf),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for CorkedIo<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: `h2` asks for this after each frame, and the [`Flusher`] does it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(lock(&self.0).failed.map_or(Ok(()), |kind| Err(kind.into())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        ready!(state.poll_flush(cx))?;
        Pin::new(&mut state.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
