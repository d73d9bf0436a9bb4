//! The repair of the `:authority` header that Istio sends, which `h2` would refuse for its `|`.
//!
//! Istio sends `:authority: outbound|9002||picker.ns.svc.cluster.local`, a cluster's name. `h2` parses
//! every authority as a URI's, where `|` is not allowed, and resets the stream; there is no switch
//! (hyperium/h2#612, #619). This adapter sits below it and turns `|` into `+` in each literal value of
//! `:authority`. The two have Huffman codes of one length and are one byte each when plain, so that no
//! length, frame or header table changes. Whatever else is wrong in a header block is left for `h2` to
//! refuse.
//!
//! It looks at every HEADERS frame for as long as the connection lives: an authority that was sent once is
//! an index into the header table, until other headers push it out and it is sent anew.

mod block;
mod frame_header;
mod frames;
mod hpack;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use frames::Frames;

/// A server-side HTTP/2 connection whose incoming header blocks are rewritten on the way.
///
/// Bytes are read straight into the reader's buffer and rewritten there; only a header block that arrives in
/// parts is held back, up to 128 KiB, until it is complete.
#[derive(Debug)]
pub struct AuthorityRepair<I> {
    io: I,
    frames: Frames,
    /// The beginning of an incomplete block.
    held: Vec<u8>,
    /// How much of `held` was handed on, once nothing of it is held back any more.
    released: Option<usize>,
}

impl<I> AuthorityRepair<I> {
    /// Wraps a connection of which nothing was read yet.
    pub fn new(io: I) -> Self {
        Self { io, frames: Frames::new(), held: Vec::new(), released: None }
    }

    /// Hands on what was held.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(from) = self.released else { return false };
        let n = buf.remaining().min(self.held.len() - from);
        buf.put_slice(&self.held[from..from + n]);
        self.released = Some(from + n);
        if from + n == self.held.len() {
            self.released = None;
            self.held = Vec::new();
        }
        n > 0
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for AuthorityRepair<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if buf.remaining() == 0 || this.hand_on(buf) {
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
                let fresh = &mut buf.filled_mut()[before..];
                if fresh.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let passed = this.frames.scan(fresh);
                this.held.extend_from_slice(&fresh[passed..]);
                buf.set_filled(before + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            }
            match this.frames.held(&mut this.held) {
                None => this.released = Some(0),
                Some(more) => {
                    if ready!(poll_append(&mut this.io, cx, &mut this.held, more))? == 0 {
                        this.frames.give_up();
                        this.released = Some(0);
                    }
                }
            }
        }
    }
}

/// Reads at most `limit` bytes to the end of `held`; how many there were.
fn poll_append<I: AsyncRead + Unpin>(
    io: &mut I,
    cx: &mut Context<'_>,
    held: &mut Vec<u8>,
    limit: usize,
) -> Poll<io::Result<usize>> {
    let before = held.len();
    held.resize(before + limit.min(16 << 10), 0);
    let mut buf = ReadBuf::new(&mut held[before..]);
    let result = Pin::new(io).poll_read(cx, &mut buf);
    let n = buf.filled().len();
    held.truncate(before + n);
    result.map_ok(|()| n)
}

impl<I: AsyncWrite + Unpin> AsyncWrite for AuthorityRepair<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The bytes of a client as `h2` gets to see them, when they arrive `step` at a time (at least 1). For tests and
/// fuzzing: the length stays, and the result does not depend on `step`.
pub fn rewrite_connection(bytes: &[u8], step: usize) -> Vec<u8> {
    let mut frames = Frames::new();
    let mut out = Vec::with_capacity(bytes.len());
    let mut held: Vec<u8> = Vec::new();
    for chunk in bytes.chunks(step.max(1)) {
        let mut chunk = chunk.to_vec();
        loop {
            if held.is_empty() {
                let passed = frames.scan(&mut chunk);
                held = chunk.split_off(passed);
                out.append(&mut chunk);
                if held.is_empty() {
                    break;
                }
            }
            match frames.held(&mut held) {
                None => out.append(&mut held),
                Some(_) if chunk.is_empty() => break,
                Some(more) => held.extend(chunk.drain(..more.min(chunk.len()))),
            }
        }
    }
    out.append(&mut held);
    out
}
