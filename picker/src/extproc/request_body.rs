//! Reading a request's body before the decision, and sending bodies on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use picker_core::Refusal;
use picker_core::edits::Splice;
use picker_core::parse::{Formats, is_form};
use picker_core::request::Headers;
use picker_proto::processing_request::Request;
use picker_proto::processing_response::Response;
use picker_proto::{ProcessingRequest, StreamedBodyResponse};
use tonic::{Code, Status};

use super::body_mode::{EARLY, Modes, Wait};
use super::patience::Patience;
use super::request_head::RequestHead;
use super::wire::Wire;
use crate::exchange::{BodyShare, Cut, Enough, RequestBody};
use crate::metrics::Waiting;
use crate::pool::{Limits, Pool};

/// The most bytes of a body in one message of full duplex: every gateway takes them.
const PIECE: usize = 62_000;

/// The longest form that a gateway is made to hold as one for the sake of its model: what Envoy holds by default. Longer ones
/// it would refuse, though nothing of their files is read.
const HELD_FORM: usize = 1 << 20;

/// What was read of a request's body.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    pub bytes: Bytes,
    /// What came after them and was not read. Rare, and the less room for it the more requests may wait.
    pub rest: Option<Box<Bytes>>,
    /// The bytes' place in the budget, kept until they have gone on.
    pub held: Option<BodyShare<'a>>,
    /// Whether a part of it was not shown, or not read.
    pub partial: bool,
    /// Why it was not read to its end, if not because of the gateway.
    pub cut: Option<Cut>,
    pub end: End,
    pub shown: Shown,
}

impl<'a> Body<'a> {
    /// Takes a place in the budget for `headers` bytes of a request of which no body was read; whether there is one.
    pub(super) fn hold(&mut self, headers: usize, pool: &'a Pool) -> bool {
        let mut share = pool.limits.budget.share();
        let taken = share.take_head(headers);
        self.held = Some(share);
        taken
    }

    /// Nothing of a body that would have been read.
    fn unread(cut: Cut) -> Self {
        Self { partial: true, cut: Some(cut), ..Self::default() }
    }
}

/// What the gateway showed beyond the headers, and so waits to be answered for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing: the headers alone wait for an answer.
    #[default]
    Nothing,
    /// The message with the body. The headers were answered before.
    Message,
    /// Trailers where that message was expected. The headers were answered before.
    TrailersOnly,
    /// So many chunks, each of which waits for an answer after that to the headers.
    Chunks(usize),
    /// Chunks of full duplex, to be sent back after the answer to the headers.
    Duplex,
}

/// Where reading ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// Before the body, or within it.
    #[default]
    Open,
    /// With the last byte of the body.
    Body,
    /// With trailers.
    Trailers,
}

/// Why there is no request to route.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is refused.
    Refused(Refusal),
    /// The gateway or its client has gone.
    Gone,
    /// Something else came: the gateway has answered the client by itself.
    Answered(Box<ProcessingRequest>),
    /// The stream failed.
    Failed(Status),
}

impl Unread {
    /// The same, a refusal in the form that the clients of requests with these headers read.
    pub(super) fn told_to(self, headers: &Headers) -> Self {
        match self {
            Self::Refused(refusal) => Self::Refused(refusal.told_to(headers)),
            other => other,
        }
    }
}

/// What to read of a request that has a body, if one is `awaited`, by how the gateway sends it.
pub(super) fn wait(modes: Modes, awaited: bool, head: &RequestHead) -> Wait {
    match modes.wait(awaited) {
        Wait::Message { partial: false }
            if is_form(&head.headers) && head.content_length().is_none_or(|length| length > HELD_FORM) =>
        {
            Wait::No
        }
        wait => wait,
    }
}

/// By which rules bodies are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub limits: &'a Limits,
    /// The formats that are read. As much is read as is enough for them.
    pub formats: Formats,
    /// Counts the requests that wait.
    pub waiting: &'a Waiting,
    /// Whether a request is refused whose body comes too slowly, or finds no room. Else it goes on with what was read.
    pub refuses: bool,
}

/// Reads what `wait` says. Headers that wait for a body that comes as one are answered with what `before` makes of them.
pub(super) async fn read<'a, S>(
    wire: &mut Wire<S>,
    head: &mut RequestHead,
    wait: Wait,
    reading: Reading<'a>,
    before: impl FnOnce(&Headers) -> Response,
) -> Result<Body<'a>, Unread>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    if head.ends {
        return Ok(Body { end: End::Body, ..Body::default() });
    }
    let Reading { limits, formats, waiting, refuses } = reading;
    let (as_one, partial, enough) = match wait {
        Wait::No => return Ok(Body::default()),
        Wait::Message { partial } => (true, partial, 0),
        Wait::Chunks => (false, false, usize::MAX),
        Wait::EarlyChunks => (false, true, EARLY),
    };
    let refused = |cut: Cut| Unread::Refused(cut.refusal(limits));
    // A message over the limit of messages can only be a body.
    let failed = |status: Status| match status.code() {
        Code::OutOfRange => refused(Cut::TooLong),
        Code::ResourceExhausted => refused(Cut::NoRoom),
        _ => Unread::Failed(status),
    };
    let announced = head.content_length();
    let mut beginning = Enough::of(formats, &head.headers);
    // Of what is mostly a file, its length is no reason to refuse it.
    let refuse_longer = limits.refuse_longer && beginning.is_none();
    // Only the beginning of a long body may be shown.
    if !partial && announced.is_some_and(|length| length > limits.max_body) {
        if refuse_longer {
            return Err(refused(Cut::TooLong));
        }
        // A gateway that holds bodies would have to hold all of this one.
        if as_one {
            return Ok(Body::unread(Cut::TooLong));
        }
    }
    let mut body = match RequestBody::expect(limits, head.size(), announced) {
        Ok(body) => body,
        Err(cut) => return Ok(Body::unread(cut)),
    };
    if as_one {
        wire.send(before(&head.headers)).await;
    }
    let timer = pin!(None);
    let mut patience = Patience::new(waiting, timer);
    let (mut messages, mut rest, mut cut, mut early) = (0, None, None, false);
    let end = loop {
        let next = poll_fn(|cx| {
            if let Poll::Ready(next) = wire.poll_next(cx) {
                return Poll::Ready(Some(next));
            }
            // Nothing of it lies here meanwhile: how long its client may take is the gateway's to say.
            if as_one && !refuses {
                return Poll::Pending;
            }
            let due = if as_one { body.due_as_one() } else { body.due() };
            let tell = |now| tell(head, &body, due.saturating_duration_since(now));
            patience.poll(cx, due, tell).map(|()| None)
        });
        let Some(next) = next.await else {
            // What was announced does not come any more. Else the client may wait for an answer before it goes on.
            // So may one that sends messages, and files may come as slowly as they do to servers.
            if refuses && (as_one || body.announced().is_some() && beginning.is_none()) {
                return Err(refused(Cut::TooSlow));
            }
            cut = Some(Cut::TooSlow);
            break End::Open;
        };
        let Some(message) = next.map_err(failed)? else { return Err(Unread::Gone) };
        head.learn(message.metadata_context.as_ref());
        match message.request {
            Some(Request::RequestBody(mut chunk)) => {
                messages += 1;
                cut = body.push(&mut chunk.body).err();
                if cut == Some(Cut::TooLong) && refuse_longer && !partial {
                    return Err(refused(Cut::TooLong));
                }
                // The other gateways have what they showed, and need nothing back.
                if let Some(cut) = cut.filter(|_| wait == Wait::Chunks) {
                    if refuses && (cut == Cut::NoRoom || !body.charge(chunk.body.len())) {
                        return Err(refused(Cut::NoRoom));
                    }
                    rest = Some(Box::new(chunk.body));
                }
                if chunk.end_of_stream {
                    break End::Body;
                }
                if cut.is_some() || body.len() >= enough {
                    break End::Open;
                }
                // A message with the body as one is all that is shown.
                if !as_one && beginning.as_mut().is_some_and(|enough| enough.is(&head.headers, body.bytes()))
                {
                    early = true;
                    break End::Open;
                }
            }
            Some(Request::RequestTrailers(_)) => break End::Trailers,
            // A part that this version does not know can't be answered.
            None => {}
            Some(_) => return Err(Unread::Answered(Box::new(message))),
        }
    };
    let shown = match wait {
        Wait::No => Shown::Nothing,
        Wait::Message { .. } if messages == 0 => Shown::TrailersOnly,
        Wait::Message { .. } => Shown::Message,
        Wait::Chunks => Shown::Duplex,
        Wait::EarlyChunks => Shown::Chunks(messages),
    };
    let partial = cut.is_some() || early || partial && end == End::Open;
    let (bytes, held) = body.finish();
    Ok(Body { bytes, rest, held: Some(held), partial, cut, end, shown })
}

/// Says in the log what a request waits for, if it does so for `left` more at most.
fn tell(head: &RequestHead, body: &RequestBody<'_>, left: Duration) {
    // A client chose them: without its queries, which may hold secrets, and of a bounded length.
    let short = |text: &str| text[..text.floor_char_boundary(100)].to_owned();
    let header = |name| short(head.headers.text(name).unwrap_or_default());
    tracing::warn!(
        method = header(":method"),
        path = short(head.headers.path()),
        content_type = header("content-type"),
        request_id = header("x-request-id"),
        announced = body.announced(),
        came = body.len(),
        seconds_left = left.as_secs(),
        "a request has waited for 5 seconds for the rest of its body"
    );
}

/// Pieces of `body` to send on, the last of which says whether the body ends. They are slices of it.
pub(super) fn pieces(mut body: Bytes, ends: bool) -> impl Iterator<Item = StreamedBodyResponse> {
    let mut more = true;
    std::iter::from_fn(move || {
        if !more {
            return None;
        }
        let piece = body.split_to(body.len().min(PIECE));
        more = !body.is_empty();
        Some(StreamedBodyResponse { body: piece, end_of_stream: ends && !more })
    })
}

/// `body` with `splices` made, which are in order and apart: slices of it and of what comes in.
pub(super) fn spliced(body: &Bytes, splices: &[Splice]) -> impl Iterator<Item = Bytes> {
    let mut at = 0;
    let cut =
        |range: std::ops::Range<usize>| body.slice(range.start.min(body.len())..range.end.min(body.len()));
    let mut parts: Vec<Bytes> = Vec::with_capacity(2 * splices.len() + 1);
    for Splice { range, with } in splices {
        parts.push(cut(at..range.start.max(at)));
        parts.push(with.clone());
        at = range.end.max(at);
    }
    parts.push(cut(at..body.len().max(at)));
    parts.into_iter().filter(|part| !part.is_empty())
}

/// Pieces of `body` with `splices` made, the last of which says whether the body ends.
pub(super) fn spliced_pieces(body: &Bytes, splices: &[Splice], ends: bool) -> Vec<StreamedBodyResponse> {
    let mut cut: Vec<_> = spliced(body, splices).flat_map(|part| pieces(part, false)).collect();
    match cut.last_mut() {
        Some(last) => last.end_of_stream = ends,
        None => cut.push(StreamedBodyResponse { body: Bytes::new(), end_of_stream: ends }),
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_slices_and_only_the_last_one_ends() {
        let body = Bytes::from(vec![7; 2 * PIECE + 1]);
        let cut: Vec<_> = pieces(body.clone(), true).collect();
        let seen: Vec<_> = cut.iter().map(|p| (p.body.len(), p.end_of_stream)).collect();
        assert_eq!(seen, [(PIECE, false), (PIECE, false), (1, true)]);
        assert_eq!(cut[1].body.as_ptr(), body[PIECE..].as_ptr());
        let seen = |body: Bytes, ends| {
            pieces(body, ends).map(|p| (p.body.len(), p.end_of_stream)).collect::<Vec<_>>()
        };
        assert_eq!(seen(Bytes::from(vec![7; PIECE]), false), [(PIECE, false)]);
        assert_eq!(seen(Bytes::new(), true), [(0, true)]);
    }

    #[test]
    fn splices_are_made_while_pieces_are_cut_and_only_the_last_one_ends() {
        let splice = |range, with: &'static str| Splice { range, with: Bytes::from_static(with.as_bytes()) };
        let (body, splices) =
            (Bytes::from_static(b"{model: a, n: 1}"), [splice(8..9, "long-name"), splice(16..16, "!")]);
        let cut: Vec<_> = spliced_pieces(&body, &splices, true);
        let joined: Vec<u8> = cut.iter().flat_map(|piece| piece.body.to_vec()).collect();
        assert_eq!(String::from_utf8(joined).unwrap(), "{model: long-name, n: 1}!");
        assert_eq!(cut.iter().map(|p| p.end_of_stream).collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!(cut[2].body.as_ptr(), body[9..].as_ptr());
        let emptied = spliced_pieces(&body, &[splice(0..16, "")], true);
        assert_eq!(emptied.iter().map(|p| (p.body.len(), p.end_of_stream)).collect::<Vec<_>>(), [(0, true)]);
        // What lies outside of the body changes nothing of it.
        let outside = spliced_pieces(&body, &[splice(40..50, "")], false);
        assert_eq!(outside.iter().map(|p| p.body.clone()).collect::<Vec<_>>(), std::slice::from_ref(&body));
    }
}
