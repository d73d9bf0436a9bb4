//! The messages after a decision: what is left of the request, and the response.
//!
//! A request is under way until the last byte or the trailers of its response, where the gateway shows
//! them, and until the stream ends elsewhere. With a response body mode of `NONE` that may be too early:
//! Envoy 1.40 closes the stream right after the response headers when the request's body mode is `NONE` or
//! `FULL_DUPLEX_STREAMED` (tried), and a model server may send those before its first token.

use std::net::SocketAddr;

use futures::Stream;
use picker_core::health::Verdict;
use picker_core::outcome::ResponseHead;
use picker_core::request::Headers;
use picker_core::{Edits, Flight};
use picker_proto::processing_mode::BodySendMode;
use picker_proto::processing_request::Request as Part;
use picker_proto::{
    HttpBody, HttpHeaders, Metadata, ProcessingMode, ProcessingRequest, ProcessingResponse,
    StreamedBodyResponse,
};
use tonic::Status;

use super::body_mode::Modes;
use super::reply::{self, NAMESPACE, Side};
use super::request_body::{End, pieces};
use super::wire::Wire;
use crate::exchange::{ANSWERED_BY_GATEWAY, Account, Form, Overload, Response, SERVED, verdict};

/// What is left of an exchange whose request is decided.
#[derive(Debug)]
pub(super) struct ResponsePhase {
    modes: Modes,
    /// The response to a routed request: gone as soon as it has ended.
    response: Option<Response>,
    /// Whether the last of each body was seen. What comes after it is a repetition (envoyproxy/envoy#46237).
    request_ended: bool,
    response_ended: bool,
    /// Whether the body may say that the gateway found no connection.
    may_explain: bool,
}

impl ResponsePhase {
    /// After a request of which so much was read. If it was routed, its response is `response`.
    pub(super) fn new(modes: Modes, response: Option<Response>, read: End) -> Self {
        Self { modes, response, request_ended: read != End::Open, response_ended: false, may_explain: false }
    }

    /// Answers `next`, if there is one, and every further message until the gateway has no more.
    pub(super) async fn run<S>(
        &mut self,
        wire: &mut Wire<S>,
        mut next: Option<ProcessingRequest>,
        account: &mut Account<'_>,
    ) -> Result<(), Status>
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
    {
        loop {
            let message = match next.take() {
                Some(message) => message,
                None => match wire.next().await? {
                    Some(message) => message,
                    None => return Ok(()),
                },
            };
            match message.request {
                Some(Part::RequestBody(body)) => self.body(wire, Side::Request, body).await,
                Some(Part::ResponseBody(body)) => self.body(wire, Side::Response, body).await,
                Some(Part::ResponseHeaders(headers)) => {
                    let edits = self.head(&headers, message.metadata_context.as_ref(), account);
                    let last = if headers.end_of_stream { self.ended() } else { Edits::default() };
                    wire.send(reply::told(self.response_headers(&headers, &edits), &last)).await;
                }
                Some(Part::RequestTrailers(_)) => {
                    self.request_ended = true;
                    wire.send(reply::trailers(Side::Request)).await;
                }
                Some(Part::ResponseTrailers(_)) => {
                    self.send_rest(wire).await;
                    wire.send(reply::told(reply::trailers(Side::Response), &self.ended())).await;
                }
                Some(Part::RequestHeaders(_)) => {
                    account.broken();
                    return Err(Status::invalid_argument(
                        "request headers a second time, or after other parts",
                    ));
                }
                // A part that this version does not know can't be answered.
                None => {}
            }
        }
    }

    /// Answers a body or a piece of it: sent back in full duplex, waved through otherwise.
    async fn body<S>(&mut self, wire: &mut Wire<S>, side: Side, mut body: HttpBody)
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
    {
        let (mode, ended) = match side {
            Side::Request => (self.modes.request, self.request_ended),
            Side::Response => (self.modes.response, self.response_ended),
        };
        let mut is_replaced = false;
        let edits = match side {
            Side::Request => {
                self.request_ended |= body.end_of_stream;
                Edits::default()
            }
            Side::Response => {
                if let Some(response) = &mut self.response {
                    if self.may_explain && !body.body.is_empty() {
                        self.may_explain = false;
                        response.judge(explained(&body.body));
                    }
                    if let Some(new) = response.chunk(&body.body, body.end_of_stream, wire.waited()) {
                        body.body = new;
                        is_replaced = true;
                    }
                }
                if body.end_of_stream { self.ended() } else { Edits::default() }
            }
        };
        if mode != BodySendMode::FullDuplexStreamed {
            let answer = if is_replaced { reply::replaced(side, body.body) } else { reply::body(side) };
            wire.send(reply::told(answer, &edits)).await;
        } else if !(ended || is_replaced && body.body.is_empty() && !body.end_of_stream) {
            for piece in pieces(body.body, body.end_of_stream) {
                let last = if piece.end_of_stream { &edits } else { &Edits::default() };
                wire.send(reply::told(reply::piece(side, piece), last)).await;
            }
        }
    }

    /// Sends what was held back of the body. Where a gateway waits for one answer to each piece there is no place for it: such
    /// a body was broken off within the name of the model.
    async fn send_rest<S>(&mut self, wire: &mut Wire<S>)
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
    {
        let rest = self.response.as_mut().and_then(Response::rest);
        if let (Some(rest), BodySendMode::FullDuplexStreamed) = (rest, self.modes.response) {
            wire.send(reply::piece(
                Side::Response,
                StreamedBodyResponse { body: rest, end_of_stream: false },
            ))
            .await;
        }
    }

    /// The head of the response has come. Edits of it come back.
    fn head(
        &mut self,
        headers: &HttpHeaders,
        metadata: Option<&Metadata>,
        account: &mut Account<'_>,
    ) -> Edits {
        let status = headers.get_str(":status").and_then(|status| status.parse().ok());
        let Some(response) = &mut self.response else {
            account.answered(status);
            return Edits::default();
        };
        let served = served(metadata, response.flight(), account);
        self.may_explain = judge(response, status, served, headers);
        // Nobody but observers reads them.
        let all = if response.flight().is_watched() { copied(headers) } else { Headers::default() };
        let encoded = is_encoded(headers);
        let content_type = || headers.get_str("content-type").map(str::to_owned);
        let renames = response.may_rename(content_type, encoded);
        let form = Form { encoded, events: is_event_stream(headers) };
        let mut edits = response.head(&ResponseHead { status, headers: &all, served }, form);
        // A gateway goes on to announce the former length, and refuses another one if it holds the body.
        if renames && self.modes.response != BodySendMode::FullDuplexStreamed {
            edits.remove_header("content-length");
        }
        edits
    }

    /// The response has ended. What the gateway is told comes back.
    fn ended(&mut self) -> Edits {
        self.response_ended = true;
        self.response.take().map(Response::ended).unwrap_or_default()
    }

    /// The answer to response headers: they go on with `edits`. `content-length` and `transfer-encoding` are never set.
    ///
    /// A gateway that was told to buffer the response would hold back an event stream until its end, so it
    /// is asked for the chunks instead. It does as asked where it allows that (`allow_mode_override`), and
    /// ignores it elsewhere. `NONE` would cost less, but then the end of the request would not be seen.
    fn response_headers(&self, headers: &HttpHeaders, edits: &Edits) -> ProcessingResponse {
        let buffered = matches!(self.modes.response, BodySendMode::Buffered | BodySendMode::BufferedPartial);
        let mode_override = (buffered && is_event_stream(headers)).then(|| ProcessingMode {
            // An override sets both directions, and the request may still be on its way.
            request_body_mode: self.modes.request.into(),
            response_body_mode: BodySendMode::Streamed.into(),
            ..ProcessingMode::default()
        });
        let answer = ProcessingResponse { mode_override, ..reply::response_headers(edits).into() };
        reply::told(answer, edits)
    }
}

/// The endpoint that served, where the gateway says so. One that was not named is counted: a gateway that does not know
/// it yet falls back to another, silently.
fn served(metadata: Option<&Metadata>, flight: &Flight, account: &Account<'_>) -> Option<SocketAddr> {
    let served = metadata.and_then(|m| m.get_str(NAMESPACE, SERVED))?;
    let address: Option<SocketAddr> = served.trim().parse().ok().map(|told| flight.served(told));
    if !flight.targets().iter().any(|target| Some(target.address) == address) {
        account.served_elsewhere();
    }
    address
}

/// Says what the head of a response says about the endpoints that it was asked of. Whether the body may say more.
fn judge(
    response: &mut Response,
    status: Option<u16>,
    served: Option<SocketAddr>,
    headers: &HttpHeaders,
) -> bool {
    if served.is_some_and(|served| served != response.flight().endpoint().address) {
        // Nothing was heard of the endpoint that was picked: it may not have been asked.
        let attempts = headers.get_str("x-envoy-attempt-count").and_then(|count| count.parse().ok());
        if let Some(served) = served.filter(|_| attempts.unwrap_or(1) > 1) {
            response.judge_passed_over(served);
        }
        return false;
    }
    let Some(status) = status else { return false };
    // An answer of gRPC that is an error has no body, and the status 200.
    let grpc = if status == 200 && headers.end_of_stream { headers.get_str("grpc-status") } else { None };
    let grpc: Option<u32> = grpc.and_then(|status| status.parse().ok());
    let failed = status >= 500 || grpc.is_some_and(|grpc| grpc != 0);
    let overload = if failed { overload(headers) } else { Overload::None };
    let verdict = verdict(status, grpc, overload);
    // A gateway says so late that it found no connection: after its timeout for connections.
    if verdict == Verdict::ServerError && status == 503 && !headers.end_of_stream && !response.is_fast() {
        return true;
    }
    response.judge(verdict);
    false
}

/// Who turned the request away for now, as the headers of an error say.
fn overload(headers: &HttpHeaders) -> Overload {
    let any = |names: &[&str]| names.iter().any(|name| headers.get_str(name).is_some());
    if any(&["x-envoy-overloaded"]) {
        Overload::Gateway
    } else if any(&["retry-after", "grpc-retry-pushback-ms"]) {
        Overload::Server
    } else {
        Overload::None
    }
}

/// What the body of an error says that came late.
fn explained(body: &[u8]) -> Verdict {
    if ANSWERED_BY_GATEWAY.iter().any(|text| body.starts_with(text.as_bytes())) {
        Verdict::Unreachable
    } else {
        Verdict::Nothing
    }
}

/// The headers as plugins read them.
fn copied(headers: &HttpHeaders) -> Headers {
    let headers = headers.headers.iter().flat_map(|map| &map.headers);
    Headers(headers.map(|header| header.clone().into_parts()).collect())
}

fn is_event_stream(headers: &HttpHeaders) -> bool {
    let kind = headers.get_str("content-type");
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

/// Whether the body is not what its content type says, but packed.
fn is_encoded(headers: &HttpHeaders) -> bool {
    let encoding = headers.get_str("content-encoding");
    encoding.is_some_and(|encoding| !encoding.trim().eq_ignore_ascii_case("identity"))
}
