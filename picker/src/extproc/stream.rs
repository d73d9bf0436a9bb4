//! The order of messages of one exchange, from its first to its last.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use picker_core::Refusal;
use picker_core::edits::Splice;
use picker_core::request::Headers;
use picker_proto::ProcessingRequest;
use picker_proto::processing_mode::BodySendMode;
use picker_proto::processing_request::Request as Part;
use tokio::time::timeout;
use tonic::Status;

use super::body_mode::Modes;
use super::immediate_reply::immediate_reply;
use super::reply::{self, Route, Side};
use super::request_body::{self, Body, End, Reading, Shown, Unread};
use super::request_head::RequestHead;
use super::response_phase::ResponsePhase;
use super::wire::Wire;
use crate::exchange::{Cut, Exchange, Incoming, decode, is_awaited};
use crate::metrics::Asked;
use crate::pool::Pool;

/// Headers that are about the bytes of a body, and wrong when these are others (RFC 9530, RFC 3230, RFC 2616).
const OF_THE_BYTES: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// How long what is left of a refused request is read.
const REST: Duration = Duration::from_secs(5);

/// Answers every message of one exchange of `pool`. One strategy decides, whatever takes its place meanwhile, and the
/// request is booked on its endpoint until the response has ended or this future is dropped.
pub(super) async fn exchange<S>(pool: Arc<Pool>, mut wire: Wire<S>) -> Result<(), Status>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    let mut exchange = Exchange::begin(&pool);
    let Some(first) = wire.next().await? else {
        exchange.account.nothing();
        return Ok(());
    };
    let mut modes = Modes::of(&first);
    if first.observability_mode {
        exchange.account.nothing();
        while wire.next().await?.is_some() {}
        return Ok(());
    }
    let mut head = match first {
        ProcessingRequest { request: Some(Part::RequestHeaders(headers)), metadata_context, .. } => {
            RequestHead::new(headers, metadata_context.as_ref())
        }
        // The gateway shows no request headers, so there is nothing to decide.
        other => {
            exchange.account.nothing();
            let mut phase = ResponsePhase::new(modes, None, End::Open);
            return phase.run(&mut wire, Some(other), &mut exchange.account).await;
        }
    };

    let strategy = match exchange.strategy() {
        Ok(strategy) => strategy,
        Err(refusal) => {
            let refusal = refusal.told_to(&head.headers);
            drop(head);
            exchange.account.refused(Asked::default(), &refusal);
            return refuse(&mut wire, &refusal).await;
        }
    };
    let (trust, formats) = (strategy.trust, strategy.formats);
    let awaited = pool.policies.read_bodies(&strategy) && is_awaited(formats, &head.headers);
    let wait = request_body::wait(modes, awaited, &head);
    let reading = Reading { limits: &pool.limits, formats, waiting: &pool.traffic.waiting, refuses: true };
    let before = |headers: &Headers| reply::headers_before_body(&pool.hot, headers, trust);
    let mut body = match request_body::read(&mut wire, &mut head, wait, reading, before).await {
        Ok(body) => body,
        Err(unread) => {
            let unread = unread.told_to(&head.headers);
            // Nothing that is not counted any more may stay while the rest of the request is read.
            drop((strategy, head));
            return match unread {
                Unread::Refused(refusal) => {
                    exchange.account.refused(Asked::default(), &refusal);
                    refuse(&mut wire, &refusal).await
                }
                Unread::Answered(message) => {
                    exchange.account.nothing();
                    let mut phase = ResponsePhase::new(modes, None, End::Body);
                    phase.run(&mut wire, Some(*message), &mut exchange.account).await
                }
                Unread::Gone => Ok(()),
                Unread::Failed(status) => Err(status),
            };
        }
    };

    let decoded = match &mut body.held {
        // Boxed, so that other exchanges take no memory for it.
        Some(held) if decode::is_needed(&head.headers, &body.bytes) => {
            Some(Box::pin(decode::decode(&head.headers, &body.bytes, &pool.limits, held)).await)
        }
        _ => None,
    };
    // What waits has its place in the budget, and what there is no room for waits for nothing.
    let prepares = strategy.prepares()
        && body.cut != Some(Cut::NoRoom)
        && (body.held.is_some() || body.hold(head.size(), &pool));
    let incoming = Incoming {
        headers: std::mem::take(&mut head.headers),
        body: decoded.as_ref().map_or(&body.bytes, |decoded| &decoded.text).clone(),
        decoded: decoded.is_some(),
        partial: body.partial || decoded.as_ref().is_some_and(|decoded| decoded.partial),
        replaceable: can_be_replaced(&body),
        subset: head.subset.as_deref(),
    };
    if let Some(cut) = body.cut {
        exchange.account.cut(cut);
    }
    let decided = if prepares {
        exchange.decide_prepared(strategy, incoming).await
    } else {
        exchange.decide(strategy, incoming)
    };
    drop(head);
    let (mut response, headers) = match decided {
        Ok(decided) => decided,
        Err(refusal) => {
            drop(body);
            return refuse(&mut wire, &refusal).await;
        }
    };
    if body.shown == Shown::TrailersOnly {
        response.without_headers();
    }
    let mut route = Route::new(&pool.hot, response.flight(), &headers, trust);
    let end = body.end;
    let mut splices: &[Splice] =
        if can_be_replaced(&body) { response.flight().edits().splices() } else { &[] };
    if let (Some(decoded), false) = (decoded, splices.is_empty()) {
        // Edits are made in what plugins read, if that is all of the body.
        if decoded.partial || body.partial {
            splices = &[];
        } else {
            body.bytes = decoded.text;
            route.remove("content-encoding", &headers);
        }
    }
    if !splices.is_empty() {
        // A gateway that holds the body refuses another length than is announced.
        if body.shown == Shown::Message {
            route.remove("content-length", &headers);
        }
        OF_THE_BYTES.iter().for_each(|name| route.remove(name, &headers));
    }
    drop(headers);
    if body.shown == Shown::Nothing && end == End::Open && modes.holds_back() {
        modes.request = BodySendMode::None;
        wire.send(route.letting_go()).await;
    } else {
        answer(&mut wire, route, body, splices).await;
    }
    let mut phase = ResponsePhase::new(modes, Some(response), end);
    phase.run(&mut wire, None, &mut exchange.account).await
}

/// Whether the gateway takes another body in place of what was read of it.
fn can_be_replaced(body: &Body<'_>) -> bool {
    body.shown == Shown::Duplex || body.shown == Shown::Message && !body.partial
}

/// Sends the route, and answers for what was read of the body, with `splices` made, which are none where it can't be replaced.
pub(super) async fn answer<S>(wire: &mut Wire<S>, route: Route, body: Body<'_>, splices: &[Splice])
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    // The bytes' place in the budget is free again when the last of them has gone on.
    let Body { bytes, rest, held: _held, end, shown, .. } = body;
    let (trailers, ends) = (end == End::Trailers, end == End::Body);
    match shown {
        Shown::Nothing => wire.send(route.in_headers()).await,
        Shown::Message if splices.is_empty() => return wire.send(route.in_body(None)).await,
        Shown::Message => {
            let new: Vec<u8> = request_body::spliced(&bytes, splices).flatten().collect();
            return wire.send(route.in_body(Some(new.into()))).await;
        }
        // There is no message left that could change a header; metadata alone may do. What the client sent
        // of the kind is gone since the answer to the headers.
        Shown::TrailersOnly => return wire.send(route.in_trailers()).await,
        Shown::Chunks(count) => {
            wire.send(route.in_headers()).await;
            for _ in 0..count {
                wire.send(reply::body(Side::Request)).await;
            }
        }
        Shown::Duplex => {
            wire.send(route.in_headers()).await;
            let last = ends && rest.is_none();
            if !splices.is_empty() {
                for piece in request_body::spliced_pieces(&bytes, splices, last) {
                    wire.send(reply::piece(Side::Request, piece)).await;
                }
            } else if last || !bytes.is_empty() {
                for piece in request_body::pieces(bytes, last) {
                    wire.send(reply::piece(Side::Request, piece)).await;
                }
            }
            if let Some(rest) = rest {
                for piece in request_body::pieces(*rest, ends) {
                    wire.send(reply::piece(Side::Request, piece)).await;
                }
            }
        }
    }
    if trailers {
        wire.send(reply::trailers(Side::Request)).await;
    }
}

/// Lets the gateway answer, and reads on until it has no more to say: a stream that ends while its request
/// still comes in is reset, and the frames that are on their way count against the whole connection.
pub(super) async fn refuse<S>(wire: &mut Wire<S>, refusal: &Refusal) -> Result<(), Status>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    wire.send(immediate_reply(refusal)).await;
    let rest = async { while let Ok(Some(_)) = wire.next().await {} };
    // A gateway that never ends its side is not waited for.
    let _ = timeout(REST, rest).await;
    Ok(())
}
