//! An I/O stream for `h2` that gathers what is written in one poll of the connection and sends it in one write, as Envoy
//! does (`ConnectionImpl::write` in its `source/common/network/connection_impl.cc` leaves it to the end of an iteration of
//! the event loop). `h2` by itself writes most DATA frames one by one.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

/// Bytes that are gathered at most before they are written.
const MOST: usize = 1 << 20;

/// The stream that `h2` reads and writes: it keeps what is written.
pub struct CorkedIo<I>(Arc<Mutex<State<I>>>);

struct State<I> {
    io: I,
    kept: Vec<u8>,
}

impl<I: AsyncWrite + Unpin> State<I> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.kept))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.kept.drain(..written);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

/// A future that drives a connection: it lets other tasks run, polls the connection, and then sends what was written.
pub struct CorkedConnection<C, I> {
    connection: C,
    state: Arc<Mutex<State<I>>>,
    others_first: bool,
}

/// Makes a connection over `io` by the handshake `connection`, and the future that drives it.
pub async fn corked<I, C, E, F>(
    io: I,
    connection: impl FnOnce(CorkedIo<I>) -> F,
) -> Result<(C, CorkedConnection<E, I>), h2::Error>
where
    I: AsyncWrite + Unpin,
    F: Future<Output = Result<(C, E), h2::Error>>,
{
    let state = Arc::new(Mutex::new(State { io, kept: Vec::new() }));
    let (client, connection) = connection(CorkedIo(state.clone())).await?;
    Ok((client, CorkedConnection { connection, state, others_first: true }))
}

fn lock<I>(state: &Mutex<State<I>>) -> MutexGuard<'_, State<I>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C: Future<Output = Result<(), h2::Error>> + Unpin, I: AsyncWrite + Unpin> Future
    for CorkedConnection<C, I>
{
    type Output = anyhow::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if std::mem::replace(&mut this.others_first, false) {
            let _ = pin!(yield_now()).poll(cx);
            return Poll::Pending;
        }
        this.others_first = true;
        let ended = Pin::new(&mut this.connection).poll(cx);
        match lock(&this.state).poll_send(cx) {
            Poll::Ready(Err(error)) if ended.is_pending() => Poll::Ready(Err(error.into())),
            _ => ended.map_err(Into::into),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for CorkedIo<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for CorkedIo<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        if state.kept.len() >= MOST {
            ready!(state.poll_send(cx))?;
        }
        bufs.iter().for_each(|buf| state.kept.extend_from_slice(buf));
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing yet: [`CorkedConnection`] flushes after the poll.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        ready!(state.poll_send(cx))?;
        Pin::new(&mut state.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_one_poll_has_written_goes_out_in_one_write() {
        let (mut peer, io) = duplex(1 << 20);
        let (kept, mut connection) = corked(io, async |kept: CorkedIo<_>| {
            let waits = poll_fn(|_| Poll::<Result<(), h2::Error>>::Pending);
            Ok((kept, waits))
        })
        .await
        .unwrap();
        let mut kept = kept;
        let mut read = [0; 64];
        for part in ["one ", "two"] {
            kept.write_all(part.as_bytes()).await.unwrap();
            kept.flush().await.unwrap();
        }
        assert!(poll!(&mut connection).is_pending(), "others first");
        assert!(poll!(pin!(peer.read(&mut read))).is_pending());
        assert!(poll!(&mut connection).is_pending());
        assert_eq!(peer.read(&mut read).await.unwrap(), 7);
        assert_eq!(&read[..7], b"one two");
    }

    #[tokio::test]
    async fn an_end_sends_what_is_left() {
        let (mut peer, io) = duplex(1 << 20);
        let (mut kept, connection) = corked(io, async |kept: CorkedIo<_>| {
            Ok((kept, poll_fn(|_| Poll::Ready(Ok::<_, h2::Error>(())))))
        })
        .await
        .unwrap();
        kept.write_all(b"last words").await.unwrap();
        kept.shutdown().await.unwrap();
        connection.await.unwrap();
        let mut read = Vec::new();
        peer.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"last words");
    }
}
