//! The order of messages of one exchange in which nothing is decided: headers are written from the request's body.

use std::sync::{Arc, Once};

use bytes::Bytes;
use futures::Stream;
use picker_core::parse::Formats;
use picker_core::request::Headers;
use picker_proto::header_value_option::HeaderAppendAction;
use picker_proto::processing_mode::BodySendMode;
use picker_proto::processing_request::Request as Part;
use picker_proto::processing_response::Response;
use picker_proto::{
    CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, HeadersResponse, ProcessingRequest,
};
use tonic::Status;

use super::body_mode::{Modes, Wait};
use super::reply::Route;
use super::request_body::{self, End, Reading, Shown, Unread};
use super::request_head::RequestHead;
use super::response_phase::ResponsePhase;
use super::stream::{answer, refuse};
use super::wire::Wire;
use crate::bbr::{Bbr, ReadBody, Written};
use crate::exchange::{Account, decode, is_awaited};
use crate::metrics::Outcome;

/// Answers every message of one exchange. The route is chosen again if a header was written, or taken out that the client
/// had written; nothing else of the exchange is touched, nor held.
pub(super) async fn exchange<S>(bbr: Arc<Bbr>, mut wire: Wire<S>) -> Result<(), Status>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    let mut account = Account::open(&bbr.traffic);
    account.nothing();
    let Some(first) = wire.next().await? else { return Ok(()) };
    let mut modes = Modes::of(&first);
    if first.observability_mode {
        while wire.next().await?.is_some() {}
        return Ok(());
    }
    let mut head = match first {
        ProcessingRequest { request: Some(Part::RequestHeaders(headers)), .. } => {
            RequestHead::new(headers, None)
        }
        other => {
            let mut phase = ResponsePhase::new(modes, None, End::Open);
            return phase.run(&mut wire, Some(other), &mut account).await;
        }
    };

    let formats = Formats::ALL;
    let awaited = is_awaited(formats, &head.headers);
    let wait = request_body::wait(modes, awaited, &head);
    if awaited && !head.ends && wait == Wait::No {
        say_once_that_bodies_are_not_shown();
    }
    let reading = Reading { limits: &bbr.limits, formats, waiting: &bbr.traffic.waiting, refuses: false };
    let before = |headers: &Headers| before_body(&bbr, headers, modes.request);
    let mut body = match request_body::read(&mut wire, &mut head, wait, reading, before).await {
        Ok(body) => body,
        Err(Unread::Answered(message)) => {
            drop(head);
            let mut phase = ResponsePhase::new(modes, None, End::Body);
            return phase.run(&mut wire, Some(*message), &mut account).await;
        }
        // A message that no memory was taken for.
        Err(Unread::Refused(refusal)) => {
            drop(head);
            bbr.requests.count(Outcome::Unreadable);
            return refuse(&mut wire, &refusal).await;
        }
        Err(Unread::Gone) => return Ok(()),
        Err(Unread::Failed(status)) => return Err(status),
    };
    if let Some(cut) = body.cut {
        account.cut(cut);
    }

    let decoded = match &mut body.held {
        Some(held) if decode::is_needed(&head.headers, &body.bytes) => {
            Some(Box::pin(decode::decode(&head.headers, &body.bytes, &bbr.limits, held)).await)
        }
        _ => None,
    };
    let written = if head.ends {
        bbr.requests.count(Outcome::NoBody);
        Written::new()
    } else if body.bytes.is_empty() {
        bbr.requests.count(Outcome::Unreadable);
        Written::new()
    } else {
        let read = ReadBody {
            bytes: decoded.as_ref().map_or(&body.bytes, |decoded| &decoded.text),
            decoded: decoded.is_some(),
            partial: body.partial || decoded.as_ref().is_some_and(|decoded| decoded.partial),
        };
        bbr.write(&head.headers, read)
    };
    drop(decoded);
    // Where the body came as one, the headers have lost them already.
    let forged = match body.shown {
        Shown::Message | Shown::TrailersOnly => Vec::new(),
        _ => bbr.forged(&head.headers),
    };
    drop(head);
    let route = route(written, forged);
    let end = body.end;
    if body.shown == Shown::Nothing && end == End::Open && modes.holds_back() {
        modes.request = BodySendMode::None;
        wire.send(route.letting_go()).await;
    } else {
        answer(&mut wire, route, body, &[]).await;
    }
    ResponsePhase::new(modes, None, end).run(&mut wire, None, &mut account).await
}

/// A route by the headers `written`, without those of `forged` that are not among them.
fn route(written: Written, mut forged: Vec<String>) -> Route {
    let anew = !written.is_empty() || !forged.is_empty();
    forged.retain(|name| !written.iter().any(|(written, _)| written == name.as_bytes()));
    let set = |(name, value): (Bytes, Bytes)| HeaderValueOption {
        header: Some(HeaderValue::new(name, value)),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
    };
    let set_headers = written.into_iter().map(set).collect();
    Route::by_headers(HeaderMutation { set_headers, remove_headers: forged }, anew)
}

/// In answer to headers that wait for the body: they lose at once what the client wrote of ours, and the route that it
/// chose by that. In the mode `BUFFERED_PARTIAL` all lose their route now: with the answer to the body Envoy 1.40 keeps it for
/// one request in two hundred, although it takes the new headers (tried: "should never try to refresh or clear the route cache
/// when it is blocked", says its log). It clears none for an answer that changes no header, so that all of ours are named.
fn before_body(bbr: &Bbr, headers: &Headers, mode: BodySendMode) -> Response {
    let mutation = HeaderMutation { set_headers: Vec::new(), remove_headers: bbr.ours() };
    let response = CommonResponse {
        clear_route_cache: mode == BodySendMode::BufferedPartial || !bbr.forged(headers).is_empty(),
        header_mutation: Some(mutation),
        ..CommonResponse::default()
    };
    Response::RequestHeaders(HeadersResponse { response: Some(response) })
}

/// Says in the log, once, what keeps every request from being routed.
fn say_once_that_bodies_are_not_shown() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(
            "a gateway shows no bodies before it routes: set its request body mode to FULL_DUPLEX_STREAMED or BUFFERED"
        );
    });
}
