//! The answers to a gateway.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use picker_proto::ProcessingResponse;
use picker_proto::piece::Streamed;
use prost::Message;
use tonic::Status;

/// Pieces of a body of at least so many bytes are sent as they are; shorter ones are cheaper to copy than to send by
/// themselves.
const LONG: usize = 8 << 10;

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
}

impl<S> Outgoing<S> {
    pub(super) fn new(answers: S) -> Self {
        Self { answers, buffer: BytesMut::new(), piece: None, ended: None, told: false }
    }

    fn encode(&mut self, answer: &ProcessingResponse) {
        if let Some(streamed) = Streamed::of(answer).filter(|streamed| streamed.body.len() >= LONG) {
            self.head(streamed.encoded_len());
            streamed.encode_before(&mut self.buffer);
            self.piece = Some(streamed.body.clone());
            return;
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
        if self.buffer.is_empty() { self.piece.take() } else { Some(self.buffer.split().freeze()) }
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
mod tests {
    use std::future::poll_fn;

    use futures::stream;
    use picker_proto::StreamedBodyResponse;

    use super::*;
    use crate::extproc::reply::{Side, piece, trailers};

    fn body(length: usize) -> Bytes {
        vec![7; length].into()
    }

    fn of(body: Bytes) -> ProcessingResponse {
        piece(Side::Request, StreamedBodyResponse { body, end_of_stream: true }).into()
    }

    /// The frames of data, and the trailers.
    async fn sent(answers: Vec<Result<ProcessingResponse, Status>>) -> (Vec<Bytes>, HeaderMap) {
        let (mut outgoing, mut data) = (Outgoing::new(stream::iter(answers)), Vec::new());
        let mut next = async || poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await;
        loop {
            let frame = next().await.expect("trailers come last").unwrap();
            match frame.into_data() {
                Ok(bytes) => data.push(bytes),
                Err(frame) => {
                    assert!(next().await.is_none());
                    return (data, frame.into_trailers().unwrap());
                }
            }
        }
    }

    fn told<'a>(trailers: &'a HeaderMap, name: &str) -> &'a str {
        trailers.get(name).unwrap().to_str().unwrap()
    }

    fn decoded(data: &[Bytes]) -> Vec<ProcessingResponse> {
        let (mut wire, mut all) = (&data.concat()[..], Vec::new());
        while let Some((head, rest)) = wire.split_first_chunk::<5>() {
            let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
            let (message, rest) = rest.split_at(length);
            assert_eq!(head[0], 0);
            all.push(ProcessingResponse::decode(message).unwrap());
            wire = rest;
        }
        all
    }

    #[tokio::test]
    async fn answers_that_are_ready_go_together_and_long_pieces_uncopied() {
        let long = body(LONG);
        let answers =
            vec![trailers(Side::Response).into(), of(body(LONG - 1)), of(long.clone()), of(body(1))];
        let (data, end) = sent(answers.iter().cloned().map(Ok).collect()).await;
        assert!(decoded(&data) == answers);
        assert_eq!((data.len(), data[1].as_ptr()), (3, long.as_ptr()));
        assert_eq!(told(&end, "grpc-status"), "0");
    }

    #[tokio::test]
    async fn many_are_handed_on_before_the_last_one_is_made() {
        let answers: Vec<_> = (0..20).map(|_| of(body(LONG - 1))).collect();
        let (data, _) = sent(answers.iter().cloned().map(Ok).collect()).await;
        assert!(decoded(&data) == answers);
        assert!(
            data.iter().all(|frame| (ENOUGH..ENOUGH + LONG + 50).contains(&frame.len())),
            "{:?}",
            data.len()
        );
    }

    #[tokio::test]
    async fn a_failure_comes_after_what_was_answered() {
        let answer: ProcessingResponse = trailers(Side::Request).into();
        let (data, end) = sent(vec![Ok(answer.clone()), Err(Status::invalid_argument("why"))]).await;
        assert_eq!(decoded(&data), [answer]);
        assert_eq!((told(&end, "grpc-status"), told(&end, "grpc-message")), ("3", "why"));
        let (data, end) = sent(vec![]).await;
        assert_eq!((data.len(), told(&end, "grpc-status")), (0, "0"));
    }
}
