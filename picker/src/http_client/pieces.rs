//! The body of a request, in pieces that lie elsewhere.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

/// Pieces that are sent one after the other, without a copy.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    pieces: SmallVec<[Bytes; 3]>,
    next: usize,
}

impl Pieces {
    pub(super) fn new(pieces: SmallVec<[Bytes; 3]>) -> Self {
        Self { pieces, next: 0 }
    }

    fn left(&self) -> &[Bytes] {
        &self.pieces[self.next..]
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.left().first().cloned();
        self.next += usize::from(piece.is_some());
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left().iter().map(|piece| piece.len() as u64).sum())
    }
}
