//! The messages of a gateway.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::Stream;
use http_body::Body;
use picker_proto::ProcessingRequest;
use picker_serve::memory::Held;
use prost::Message;
use prost::encoding::decode_varint;
use tokio::time::{Sleep, sleep};
use tonic::codegen::StdError;
use tonic::{Code, Status};

use super::elements;
use super::turns::{Queued, Turns};

/// What goes before each message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// The most memory that is taken for a message before its bytes are there.
const AHEAD: usize = 64 << 10;

/// Shorter messages are copied out of the buffer of their connection, which would live as long as they do. Pieces of
/// responses are not: they are sent on at once.
const SHORT: usize = 4 << 10;

/// A message with more bytes besides a body is not kept for its headers.
const LONG: usize = 64 << 10;

/// A message that grows to its end takes so many times its bytes: the memory of its former beginnings is not given back
/// to the system at once.
const GROWTH: usize = 2;

/// The most bytes of a message besides a body: the headers of a request, and a subset of ten thousand endpoints. What is
/// decoded of headers may take fifty times as many.
const BESIDES: usize = 256 << 10;

/// A message with more bytes besides a body waits for its turn to be decoded. Gateways that name a thousand endpoints
/// send fewer.
const QUICK: usize = 32 << 10;

/// The longest that the first message may take. Gateways open a stream when they have something to say.
const FIRST: Duration = Duration::from_secs(10);

/// The longest that a message may take from its first byte to its last. Gateways send what they have.
const LONGEST: Duration = Duration::from_secs(30);

/// The keys of `ProcessingRequest.request_body` and `response_body`, with which a piece of a body begins.
const REQUEST_BODY: u8 = 4 << 3 | 2;
const RESPONSE_BODY: u8 = 5 << 3 | 2;

/// Messages, decoded as they come. A long one, or a piece of a response, that lies in a single DATA frame is a slice of
/// that.
#[derive(Debug)]
pub(super) struct Messages<B> {
    body: B,
    limit: usize,
    /// What was read and not looked at.
    fresh: Bytes,
    /// The beginning of a message, with its head, that lies in several frames.
    begun: BytesMut,
    ended: bool,
    /// The memory of what has begun, and of the message that was read last.
    held: Held,
    turns: Turns,
    /// A message that takes long to decode.
    queued: Option<Box<Queued>>,
    /// Whether a message came.
    came: bool,
    /// When the first message, or what has begun, has to be complete.
    due: Option<Pin<Box<Sleep>>>,
}

impl<B> Messages<B> {
    /// Those in `body`, none longer than `limit` bytes, whose memory is counted in `held`. Long ones are decoded in their
    /// turn of `turns`.
    pub(super) fn new(body: B, limit: usize, held: Held, turns: Turns) -> Self {
        Self {
            body,
            limit,
            fresh: Bytes::new(),
            begun: BytesMut::new(),
            ended: false,
            held,
            turns,
            queued: None,
            came: false,
            due: None,
        }
    }

    /// The next message without its head, if all of it is there.
    fn take(&mut self) -> Result<Option<Bytes>, Status> {
        if self.begun.is_empty()
            && let Some(length) = length(&self.fresh, self.limit)?
        {
            if self.fresh.len() - HEAD >= length {
                self.fresh.advance(HEAD);
                let message = self.fresh.split_to(length);
                let stays = length < SHORT && message.first() != Some(&RESPONSE_BODY);
                return Ok(Some(if stays { Bytes::copy_from_slice(&message) } else { message }));
            }
            self.begun.reserve(HEAD + length.min(AHEAD));
        }
        // Its head first, since that tells how much more belongs to it.
        while !self.fresh.is_empty() {
            let whole = length(&self.begun, self.limit)?.map_or(HEAD, |length| HEAD + length);
            let more = self.fresh.len().min(whole - self.begun.len());
            if !self.held.set(GROWTH * (self.begun.len() + more)) {
                return Err(Status::resource_exhausted("there is no memory for the message"));
            }
            self.begun.extend_from_slice(&self.fresh.split_to(more));
            if let Some(length) = length(&self.begun, self.limit)?
                && self.begun.len() == HEAD + length
            {
                let begun = std::mem::take(&mut self.begun);
                let room = begun.capacity();
                let mut message = begun.freeze();
                message.advance(HEAD);
                // Who keeps a body counts it: here that is what is left of its room.
                self.held.keep(room - body_in(&message).unwrap_or_default());
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Decodes a message; after one that cannot be, there are no more.
    fn decode(&mut self, message: Bytes) -> Result<ProcessingRequest, Status> {
        let message = decoded(message);
        self.ended = message.is_err();
        message
    }
}

/// The length of the message that `bytes` begin with, once its head is there.
fn length(bytes: &[u8], limit: usize) -> Result<Option<usize>, Status> {
    let Some((&[compressed, a, b, c, d], _)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    if compressed != 0 {
        return Err(Status::unimplemented("messages must not be compressed"));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > limit {
        return Err(Status::out_of_range(format!(
            "a message of {length} bytes; the longest may have {limit}"
        )));
    }
    // Without waiting for all of it.
    if length > BESIDES && bytes.get(HEAD).is_some_and(|&key| !is_body(key)) {
        return Err(too_much_besides(length));
    }
    Ok(Some(length))
}

/// How many bytes of `message` are not those of a body.
fn besides(message: &[u8]) -> usize {
    message.len() - body_in(message).unwrap_or_default()
}

fn decoded(message: Bytes) -> Result<ProcessingRequest, Status> {
    let besides = besides(&message);
    if besides > BESIDES {
        return Err(too_much_besides(besides));
    }
    elements::check(&message, besides)?;
    // Headers are slices of their message. Of a long one they are copied, so that they don't keep what else is in it.
    let decoded = if besides > LONG {
        ProcessingRequest::decode(&message[..])
    } else {
        ProcessingRequest::decode(message)
    };
    decoded.map_err(|error| Status::internal(format!("no ProcessingRequest: {error}")))
}

fn too_much_besides(bytes: usize) -> Status {
    Status::out_of_range(format!("{bytes} bytes that are no body; a message may have {BESIDES}"))
}

/// Whether a message that begins with this key begins with a body.
fn is_body(key: u8) -> bool {
    matches!(key, REQUEST_BODY | RESPONSE_BODY)
}

/// How many bytes of `message`, which begins with a body, are that body's. Gateways write fields in the order of their
/// numbers, so only fields that are not there could come before it.
fn body_in(message: &[u8]) -> Option<usize> {
    let (&key, mut rest) = message.split_first()?;
    let length = is_body(key).then(|| decode_varint(&mut rest).ok())??;
    usize::try_from(length).ok().filter(|length| *length <= rest.len())
}

impl<B> Stream for Messages<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    type Item = Result<ProcessingRequest, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // The message before has been dealt with, or is counted by whoever keeps it.
        if this.begun.is_empty() && this.queued.is_none() {
            this.held.clear();
        }
        while !this.ended {
            if let Some(queued) = &mut this.queued {
                let (message, _turn) = ready!(queued.poll_turn(cx));
                this.queued = None;
                return Poll::Ready(Some(this.decode(message)));
            }
            match this.take() {
                Ok(None) => {}
                Ok(Some(message)) => {
                    (this.came, this.due) = (true, None);
                    if besides(&message) > QUICK {
                        this.queued = Some(Box::new(this.turns.queue(message)));
                        continue;
                    }
                    return Poll::Ready(Some(this.decode(message)));
                }
                Err(status) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
                if this.came && this.begun.is_empty() {
                    return Poll::Pending;
                }
                let longest = if this.came { LONGEST } else { FIRST };
                let due = this.due.get_or_insert_with(|| Box::pin(sleep(longest)));
                if due.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.ended = true;
                return Poll::Ready(Some(Err(Status::deadline_exceeded("no whole message in time"))));
            };
            match frame {
                // Trailers of a request say nothing.
                Some(Ok(frame)) => this.fresh = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    this.ended = true;
                    let status = Status::from_error(error.into());
                    // The gateway wants nothing more.
                    if status.code() != Code::Cancelled {
                        return Poll::Ready(Some(Err(status)));
                    }
                }
                None => {
                    this.ended = true;
                    if !this.begun.is_empty() {
                        return Poll::Ready(Some(Err(Status::internal("the stream ends within a message"))));
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use picker_proto::processing_request::Request;
    use picker_proto::{HeaderMap, HeaderValue, HttpBody, HttpHeaders};
    use picker_serve::memory::Meter;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 2 << 20;

    fn body(length: usize) -> HttpBody {
        HttpBody { body: vec![7; length].into(), end_of_stream: false }
    }

    fn message(length: usize) -> ProcessingRequest {
        Request::RequestBody(body(length)).into()
    }

    fn framed(message: &ProcessingRequest) -> Vec<u8> {
        let encoded = message.encode_to_vec();
        [&[0], &(encoded.len() as u32).to_be_bytes()[..], &encoded].concat()
    }

    /// The messages in `frames`, of which none waits for those of others.
    fn messages<S>(frames: S, held: Held) -> Messages<StreamBody<S>> {
        Messages::new(StreamBody::new(frames), LIMIT, held, Turns::default())
    }

    /// What is read of these DATA frames, with the code of the error at the end.
    fn read(frames: Vec<Result<Bytes, Status>>) -> (Vec<ProcessingRequest>, Option<Code>) {
        let frames = frames.into_iter().map(|frame| frame.map(Frame::data));
        let messages = messages(stream::iter(frames), Meter::default().hold());
        let (mut read, mut failed) = (Vec::new(), None);
        for message in futures::executor::block_on_stream(messages) {
            match message {
                Ok(message) => read.push(message),
                Err(status) => assert_eq!(failed.replace(status.code()), None),
            }
        }
        (read, failed)
    }

    fn wire(bytes: &[u8]) -> (Vec<ProcessingRequest>, Option<Code>) {
        read(vec![Ok(Bytes::copy_from_slice(bytes))])
    }

    #[test]
    fn what_is_wrong_is_said_once_and_ends_the_stream() {
        let good = framed(&message(3));
        let after_a_good_one = |bad: &[u8]| wire(&[&good, bad, &good].concat());
        let one = vec![message(3)];
        assert_eq!(after_a_good_one(&[1, 0, 0, 0, 0]), (one.clone(), Some(Code::Unimplemented)));
        let long = (LIMIT as u32 + 1).to_be_bytes();
        assert_eq!(after_a_good_one(&[&[0], &long[..]].concat()), (one.clone(), Some(Code::OutOfRange)));
        assert_eq!(after_a_good_one(&[0, 0, 0, 0, 1, 0xff]), (one.clone(), Some(Code::Internal)));
        assert_eq!(wire(&good[..good.len() - 1]), (vec![], Some(Code::Internal)));
        assert_eq!(wire(&good[..4]), (vec![], Some(Code::Internal)));
        let cut = |status| read(vec![Ok(good.clone().into()), Err(status)]);
        assert_eq!(cut(Status::unavailable("")), (one.clone(), Some(Code::Unavailable)));
        assert_eq!(cut(Status::cancelled("")), (one, None));
    }

    #[test]
    fn a_long_message_in_one_frame_is_a_slice_of_it() {
        for (part, length, slice) in [
            (Request::RequestBody as fn(_) -> _, SHORT, true),
            (Request::RequestBody, SHORT / 2, false),
            (Request::ResponseBody, SHORT / 2, true),
        ] {
            let frame = Bytes::from(framed(&part(body(length)).into()));
            let (all, _) = read(vec![Ok(frame.clone())]);
            let Some(Request::RequestBody(body) | Request::ResponseBody(body)) = &all[0].request else {
                panic!("a body")
            };
            assert_eq!(frame.as_ptr_range().contains(&body.body.as_ptr()), slice, "{length}");
        }
    }

    #[test]
    fn only_a_body_may_be_long() {
        let long = |part: Request| read(vec![Ok(framed(&part.into()).into())]);
        let of = |length| HttpBody { body: vec![7; length].into(), end_of_stream: false };
        let most = LIMIT - 100;
        for part in [Request::RequestBody(of(most)), Request::ResponseBody(of(most))] {
            assert_eq!(long(part.clone()), (vec![part.into()], None));
        }
        // Headers whose names are long.
        let headers = |count: usize| {
            let long = HeaderValue::new(vec![b'a'; 1000], "");
            let map = HeaderMap { headers: vec![long; count] };
            Request::RequestHeaders(HttpHeaders { headers: Some(map), end_of_stream: false })
        };
        let few = headers(BESIDES / 1010);
        assert_eq!(long(few.clone()), (vec![few.into()], None));
        let many = framed(&headers(BESIDES / 1000).into());
        assert_eq!(wire(&many), (vec![], Some(Code::OutOfRange)));
        // Said at its first byte.
        assert_eq!(wire(&many[..=HEAD]), (vec![], Some(Code::OutOfRange)));
        assert_eq!(wire(&many[..HEAD]), (vec![], Some(Code::Internal)));
        // Behind a body.
        let mut both = message(10).encode_to_vec();
        both.extend(ProcessingRequest::from(headers(BESIDES / 1000)).encode_to_vec());
        let head = [&[0], &(both.len() as u32).to_be_bytes()[..]].concat();
        assert_eq!(wire(&[head, both].concat()), (vec![], Some(Code::OutOfRange)));
    }

    #[tokio::test]
    async fn a_length_takes_no_memory_by_itself() {
        let head = [&[0], &(LIMIT as u32).to_be_bytes()[..], &[REQUEST_BODY]].concat();
        let frames = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(head)))]).chain(stream::pending());
        let mut messages = messages(frames, Meter::default().hold());
        assert!(futures::poll!(messages.next()).is_pending());
        assert!(messages.begun.capacity() < 2 * AHEAD, "{}", messages.begun.capacity());
    }

    /// A message whose last byte doesn't come, as a stream of DATA frames.
    fn unfinished(length: usize) -> impl Stream<Item = Result<Frame<Bytes>, Status>> + Unpin {
        let whole = framed(&message(length));
        let frames: Vec<_> = whole[..whole.len() - 1].chunks(10_000).map(Bytes::copy_from_slice).collect();
        stream::iter(frames.into_iter().map(|frame| Ok(Frame::data(frame)))).chain(stream::pending())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_a_message_ends() {
        let nothing = stream::pending::<Result<Frame<Bytes>, Status>>();
        let mut messages = messages(nothing, Meter::default().hold());
        let began = tokio::time::Instant::now();
        let late = messages.next().await.unwrap().unwrap_err();
        assert_eq!((late.code(), began.elapsed()), (Code::DeadlineExceeded, FIRST));
        assert!(messages.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_begun_is_counted_and_has_to_end() {
        let meter = Meter::default();
        let first = stream::iter([Ok(Frame::data(Bytes::from(framed(&message(10)))))]);
        let mut messages = messages(first.chain(unfinished(100_000)), meter.hold());
        messages.next().await.unwrap().unwrap();
        // Between two messages any time may pass.
        tokio::time::advance(2 * LONGEST).await;
        let began = tokio::time::Instant::now();
        assert!(futures::poll!(messages.next()).is_pending());
        assert!((GROWTH * 100_000..GROWTH * 100_020).contains(&meter.held()), "{}", meter.held());
        let late = messages.next().await.unwrap().unwrap_err();
        assert_eq!((late.code(), began.elapsed()), (Code::DeadlineExceeded, LONGEST));
        drop(messages);
        assert_eq!(meter.held(), 0);
    }

    #[tokio::test]
    async fn a_message_is_counted_until_the_next_one_is_asked_for() {
        let headers = HeaderMap::from_iter([("cookie".to_owned(), "c".repeat(50_000))]);
        let headers = HttpHeaders { headers: Some(headers), end_of_stream: false };
        // Of a body, which is counted by whoever keeps it, what is left of its room.
        for (message, counted) in
            [(Request::RequestHeaders(headers).into(), 50_000..GROWTH * 50_100), (message(50_000), 0..50_000)]
        {
            let meter = Meter::default();
            let frames: Vec<_> = framed(&message).chunks(10_000).map(Bytes::copy_from_slice).collect();
            let frames = stream::iter(frames.into_iter().map(|frame| Ok::<_, Status>(Frame::data(frame))));
            let mut messages = messages(frames.chain(stream::pending()), meter.hold());
            messages.next().await.unwrap().unwrap();
            assert!(counted.contains(&meter.held()), "{}", meter.held());
            assert!(futures::poll!(messages.next()).is_pending());
            assert_eq!(meter.held(), 0);
        }
    }

    #[tokio::test]
    async fn messages_that_take_long_are_decoded_one_at_a_time() {
        let headers = |count| {
            let headers = HeaderMap::from_iter((0..count).map(|at| (format!("x-{at}"), "v".repeat(1000))));
            ProcessingRequest::from(Request::RequestHeaders(HttpHeaders {
                headers: Some(headers),
                end_of_stream: false,
            }))
        };
        let (turns, meter) = (Turns::default(), Meter::default());
        let of = |message: &ProcessingRequest| {
            let frame = Ok::<_, Status>(Frame::data(Bytes::from(framed(message))));
            let frames = stream::iter([frame]).chain(stream::pending());
            Messages::new(StreamBody::new(frames), LIMIT, meter.hold(), turns.clone())
        };
        let (long, short, body) = (headers(40), headers(20), message(100_000));
        let mut before = turns.queue(Bytes::new());
        let (_, turn) = std::future::poll_fn(|cx| before.poll_turn(cx)).await;
        let (mut waits, mut gives_up) = (of(&long), of(&long));
        assert!(futures::poll!(gives_up.next()).is_pending());
        assert!(futures::poll!(waits.next()).is_pending());
        for quick in [short, body] {
            assert_eq!(of(&quick).next().await.unwrap().unwrap(), quick);
        }
        assert!(futures::poll!(waits.next()).is_pending());
        drop((turn, gives_up));
        assert_eq!(waits.next().await.unwrap().unwrap(), long);
        // What has been decoded keeps nobody waiting.
        assert_eq!(of(&long).next().await.unwrap().unwrap(), long);
    }

    #[tokio::test]
    async fn without_memory_a_message_is_refused() {
        let meter = Meter::default();
        meter.set_limit(50_000);
        let mut messages = messages(unfinished(100_000), meter.hold());
        assert_eq!(messages.next().await.unwrap().unwrap_err().code(), Code::ResourceExhausted);
        assert!(messages.next().await.is_none());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_frames_are_cut(
            lengths in prop::collection::vec(prop_oneof![0..10_usize, 0..40_000_usize], 0..5),
            cuts in prop::collection::vec(1..30_000_usize, 1..20),
        ) {
            let messages: Vec<_> = lengths.into_iter().map(message).collect();
            let wire: Vec<u8> = messages.iter().flat_map(framed).collect();
            let (mut rest, mut frames, mut cuts) = (Bytes::from(wire), Vec::new(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                frames.push(Ok(rest.split_to(rest.len().min(cuts.next().unwrap()))));
            }
            prop_assert_eq!(read(frames), (messages, None));
        }
    }
}
