//! Reading a request's body before the decision, and sending bodies on.

use bytes::Bytes;
use futures::Stream;
use picker_proto::processing_request::Request;
use picker_proto::{ProcessingRequest, StreamedBodyResponse};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use super::gate::Gate;
use super::gathered::Gathered;
use super::head::Head;
use super::held::Share;
use super::mode::{EARLY, Wait};
use super::reply;
use super::wire::Wire;

/// The most bytes of a body in one message of full duplex: every gateway takes them.
const PIECE: usize = 62_000;

/// A body that is held has to bring this many more bytes within each [`Gate::body_timeout`]. Chunks would
/// not do as a measure: a byte now and then would hold 16 MiB for ever.
const PACE: usize = 16 << 10;

/// What was read of a request's body.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    pub bytes: Bytes,
    /// The bytes' place in the budget, kept until they have gone on.
    pub held: Option<Share<'a>>,
    /// Whether a part of it was not shown.
    pub partial: bool,
    pub end: End,
    pub shown: Shown,
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
    /// The body is longer than the limit.
    TooLarge,
    /// The bodies of all requests together are longer than theirs.
    Overloaded,
    /// What was read of the body takes memory, and the rest doesn't come.
    TooSlow,
    /// The gateway or its client has gone.
    Gone,
    /// Something else came: the gateway has answered the client by itself.
    Answered(Box<ProcessingRequest>),
    /// The stream failed.
    Failed(Status),
}

/// A message that is longer than any may be can only be a body.
impl From<Status> for Unread {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::OutOfRange => Self::TooLarge,
            _ => Self::Failed(status),
        }
    }
}

/// Reads what `wait` says.
pub(super) async fn read<'a, S>(
    wire: &mut Wire<S>,
    head: &mut Head,
    wait: Wait,
    gate: &'a Gate,
) -> Result<Body<'a>, Unread>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    if head.ends {
        return Ok(Body { end: End::Body, ..Body::default() });
    }
    let (partial, enough) = match wait {
        Wait::No => return Ok(Body::default()),
        Wait::Message { partial } => (partial, 0),
        Wait::Chunks => (false, usize::MAX),
        Wait::EarlyChunks => (true, EARLY),
    };
    let limit = gate.max_body;
    // Only the beginning of a long body may be shown.
    if !partial && head.content_length().is_some_and(|length| length > limit) {
        return Err(Unread::TooLarge);
    }
    let mut held = gate.held.share();
    if !held.take(head.size()) {
        return Err(Unread::Overloaded);
    }
    if enough == 0 {
        wire.send(reply::headers_before_body(&head.headers)).await;
    }
    let mut gathered = Gathered::expecting(head.content_length(), limit);
    let mut messages = 0;
    // Nothing is held yet, so there is no hurry; and a body of a single message needs no clock.
    let (mut due, mut pace) = (None, 1);
    let end = loop {
        let next = match due {
            None => wire.next().await?,
            Some(due) => timeout_at(due, wire.next()).await.map_err(|_| Unread::TooSlow)??,
        };
        let Some(message) = next else { return Err(Unread::Gone) };
        head.learn(message.metadata_context.as_ref());
        match message.request {
            Some(Request::RequestBody(body)) => {
                let more = body.body.len();
                if gathered.len() + more > limit && wait != Wait::EarlyChunks {
                    return Err(Unread::TooLarge);
                }
                if !gathered.push(body.body, |bytes| held.take(bytes)) {
                    return Err(Unread::Overloaded);
                }
                messages += 1;
                if body.end_of_stream {
                    break End::Body;
                }
                if gathered.len() >= enough {
                    break End::Open;
                }
                if gathered.len() >= pace {
                    pace = gathered.len() + PACE;
                    due = Some(Instant::now() + gate.body_timeout);
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
    let partial = partial && end == End::Open;
    Ok(Body { bytes: gathered.finish(), held: Some(held), partial, end, shown })
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
}
