//! The answers to a gateway.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use picker_proto::ProcessingResponse;
use picker_proto::piece::Streamed;
use picker_serve::memory::{Held, OpenStream};
use prost::Message;
use tonic::Status;

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
    stream: OpenStream,
    /// What was handed on last, if it is not counted.
    last: Bytes,
}

impl<S> Outgoing<S> {
    /// Those of `answers`, on `stream`.
    pub(super) fn new(answers: S, stream: OpenStream) -> Self {
        Self {
            answers,
            buffer: BytesMut::new(),
            piece: None,
            ended: None,
            told: false,
            stream,
            last: Bytes::new(),
        }
    }

    fn encode(&mut self, answer: &ProcessingResponse) {
        // So that its memory can be used again.
        self.last = Bytes::new();
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
        let data =
            if self.buffer.is_empty() { self.piece.take() } else { Some(self.buffer.split().freeze()) }?;
        self.last = Bytes::new();
        if data.len() < COUNTED {
            self.last = data.clone();
            return Some(data);
        }
        let mut held = self.stream.meter().hold();
        held.keep(data.len());
        Some(Bytes::from_owner(Sending { data, _held: held }))
    }
}

impl<S> Drop for Outgoing<S> {
    fn drop(&mut self) {
        let last = std::mem::take(&mut self.last);
        // The memory that it shares with what would have come next.
        self.buffer = BytesMut::new();
        if !last.is_empty() {
            self.stream.meter().ended(last);
        }
    }
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
mod tests {
    use std::future::poll_fn;

    use futures::{StreamExt, stream};
    use picker_proto::StreamedBodyResponse;
    use picker_serve::memory::Meter;

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
        let (mut outgoing, mut data) =
            (Outgoing::new(stream::iter(answers), Meter::default().open().unwrap()), Vec::new());
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

    #[tokio::test]
    async fn a_stream_waits_for_its_peer_from_each_frame_to_the_next_look() {
        let meter = Meter::default();
        let answers = stream::iter([Ok(of(body(LONG))), Ok(of(body(LONG)))]).chain(stream::pending());
        let mut outgoing = Outgoing::new(answers, meter.open().unwrap());
        let next = |outgoing: &mut Outgoing<_>| {
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            Pin::new(outgoing).poll_frame(cx).is_ready()
        };
        // Each answer is a head and a piece.
        let seen = [(); 5].map(|()| (next(&mut outgoing), meter.stuck_streams()));
        assert_eq!(seen, [(true, 1), (true, 1), (true, 1), (true, 1), (false, 0)]);
    }

    #[tokio::test]
    async fn what_is_handed_on_counts_until_it_was_sent() {
        let meter = Meter::default();
        let mut outgoing = Outgoing::new(stream::iter([Ok(of(body(LONG)))]), meter.open().unwrap());
        let open = meter.held();
        let mut next = async || poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await.unwrap().unwrap();
        let (_head, piece, _trailers) = (next().await, next().await, next().await);
        assert_eq!(meter.held(), open + LONG);
        drop(piece);
        assert_eq!(meter.held(), open);
        // A short one until the stream has ended and it was sent.
        let mut outgoing = Outgoing::new(stream::iter([Ok(of(body(1)))]), meter.open().unwrap());
        let sent = poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await;
        drop(outgoing);
        assert_eq!(meter.held(), 2 * open);
        drop(sent);
        let mut outgoing = Outgoing::new(stream::iter([Ok(of(body(1)))]), meter.open().unwrap());
        drop(poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await);
        drop(outgoing);
        assert_eq!(meter.held(), 2 * open);
    }
}
