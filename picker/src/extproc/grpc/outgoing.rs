//! The answers to a gateway.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use picker_core::RefusalKind;
use picker_proto::ProcessingResponse;
use picker_proto::piece::Streamed;
use picker_proto::processing_response::Response;
use picker_serve::memory::{Held, OpenStream};
use prost::Message;
use tonic::Status;

use crate::extproc::immediate_reply::details;

/// Pieces of a body of at least so many bytes are sent as they are; shorter ones are cheaper to copy than to send by
/// themselves.
const LONG: usize = 8 << 10;

/// What is longer is counted until it was sent: a peer decides when that is, byte by byte. The rest is a part of what a
/// stream counts for anyway.
const COUNTED: usize = 4 << 10;

/// So many bytes are handed on without waiting for further answers.
const ENOUGH: usize = 32 << 10;

/// Answers as the body of a response: those that are ready go together.
pub(super) struct Outgoing<S> {
    answers: S,
    buffer: BytesMut,
    /// The piece of a body that comes after the buffer.
    piece: Option<Bytes>,
    /// How the stream has ended.
    ended: Option<Status>,
    told: bool,
    /// Dropped after the buffers: they share the memory of what was handed on last.
    stream: OpenStream,
}

impl<S> Outgoing<S> {
    /// Those of `answers`, on `stream`.
    pub(super) fn new(answers: S, stream: OpenStream) -> Self {
        Self { answers, buffer: BytesMut::new(), piece: None, ended: None, told: false, stream }
    }

    fn encode(&mut self, answer: &ProcessingResponse) {
        // So that its memory can be used again.
        self.stream.set_last(Bytes::new());
        if let Some(streamed) = Streamed::of(answer).filter(|streamed| streamed.body.len() >= LONG) {
            self.head(streamed.encoded_len());
            streamed.encode_before(&mut self.buffer);
            self.piece = Some(streamed.body.clone());
            return;
        }
        if is_overloaded(answer) {
            self.stream.meter().refused();
        }
        let length = answer.encoded_len();
        self.head(length);
        // There is room for all of it.
        let _ = answer.encode(&mut self.buffer);
    }

    /// Not compressed, and so long.
    fn head(&mut self, length: usize) {
        self.buffer.reserve(5 + length.min(LONG));
        self.buffer.put_u8(0);
        self.buffer.put_u32(length as u32);
    }

    fn take(&mut self) -> Option<Bytes> {
        let data =
            if self.buffer.is_empty() { self.piece.take() } else { Some(self.buffer.split().freeze()) }?;
        self.stream.set_last(Bytes::new());
        if data.len() < COUNTED {
            self.stream.set_last(data.clone());
            return Some(data);
        }
        let mut held = self.stream.meter().hold();
        held.keep(data.len());
        Some(Bytes::from_owner(Sending { data, _held: held }))
    }
}

/// Whether a request is refused since there is no room for it.
fn is_overloaded(answer: &ProcessingResponse) -> bool {
    let Some(Response::ImmediateResponse(refusal)) = &answer.response else { return false };
    refusal.details == details(RefusalKind::Overloaded)
}

/// Bytes that are counted until they were sent.
struct Sending {
    data: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl<S> Body for Outgoing<S>
where
    S: Stream<Item = Result<ProcessingResponse, Status>> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        this.stream.begin();
        // hyper asks for more as soon as it may send what it has.
        this.stream.set_stuck(false);
        while this.piece.is_none() && this.buffer.len() < ENOUGH && this.ended.is_none() {
            match Pin::new(&mut this.answers).poll_next(cx) {
                Poll::Ready(Some(Ok(answer))) => this.encode(&answer),
                Poll::Ready(Some(Err(status))) => this.ended = Some(status),
                Poll::Ready(None) => this.ended = Some(Status::ok("")),
                Poll::Pending if this.buffer.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if let Some(data) = this.take() {
            this.stream.answer();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(status) = this.ended.as_ref().filter(|_| !std::mem::replace(&mut this.told, true)) else {
            return Poll::Ready(None);
        };
        let mut trailers = HeaderMap::with_capacity(2);
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

#[cfg(test)]
mod tests;
