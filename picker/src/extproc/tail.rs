//! The rest of an exchange, once its request is decided: what is left of the request, and the response.
//!
//! A request is under way until the last byte or the trailers of its response, where the gateway shows
//! them, and until the stream ends elsewhere. With a response body mode of `NONE` that may be too early:
//! Envoy 1.40 closes the stream right after the response headers when the request's body mode is `NONE` or
//! `FULL_DUPLEX_STREAMED` (tried), and a model server may send those before its first token.

use std::net::SocketAddr;

use futures::Stream;
use picker_core::Flight;
use picker_proto::processing_mode::BodySendMode;
use picker_proto::processing_request::Request as Part;
use picker_proto::processing_response::Response;
use picker_proto::{
    HeadersResponse, HttpBody, HttpHeaders, Metadata, ProcessingMode, ProcessingRequest, ProcessingResponse,
};
use tonic::Status;

use super::account::Account;
use super::body::{End, pieces};
use super::mode::Modes;
use super::reply::{self, NAMESPACE, Side};
use super::usage::Usage;
use super::wire::Wire;
use crate::metrics::Model;

/// Key of the metadata in which a gateway says who served.
pub(super) const SERVED: &str = "x-gateway-destination-endpoint-served";

/// The rest of an exchange.
#[derive(Debug)]
pub(super) struct Tail {
    modes: Modes,
    /// The request under way: dropped as soon as the response has ended.
    flight: Option<Flight>,
    /// What its answer says of its tokens: counted when it is dropped, with the flight.
    usage: Option<Usage>,
    /// Whether the last of each body was seen. What comes after it is a repetition (envoyproxy/envoy#46237).
    request_ended: bool,
    response_ended: bool,
}

impl Tail {
    /// After a request of which so much was read. If it was routed, it is under way, and its answer is counted for
    /// its model.
    pub(super) fn new(modes: Modes, routed: Option<(Flight, Model)>, read: End) -> Self {
        let (flight, usage) = routed.map(|(flight, model)| (flight, Usage::new(model))).unzip();
        Self { modes, flight, usage, request_ended: read != End::Open, response_ended: false }
    }

    /// Answers `next`, if there is one, and every further message until the gateway has no more.
    pub(super) async fn run<S>(
        mut self,
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
                    self.compare_served(message.metadata_context.as_ref(), account);
                    if is_encoded(&headers) || failed(&headers) {
                        self.usage = None;
                    }
                    wire.send(self.response_headers(&headers)).await;
                    self.response_ends_if(headers.end_of_stream);
                }
                Some(Part::RequestTrailers(_)) => {
                    self.request_ended = true;
                    wire.send(reply::trailers(Side::Request)).await;
                }
                Some(Part::ResponseTrailers(_)) => {
                    wire.send(reply::trailers(Side::Response)).await;
                    self.response_ends_if(true);
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
    async fn body<S>(&mut self, wire: &mut Wire<S>, side: Side, body: HttpBody)
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
    {
        let (mode, ended) = match side {
            Side::Request => (self.modes.request, self.request_ended),
            Side::Response => {
                if let Some(usage) = &mut self.usage {
                    usage.see(&body.body);
                }
                (self.modes.response, self.response_ended)
            }
        };
        if mode != BodySendMode::FullDuplexStreamed {
            wire.send(reply::body(side)).await;
        } else if !ended {
            for piece in pieces(body.body, body.end_of_stream) {
                wire.send(reply::piece(side, piece)).await;
            }
        }
        match side {
            Side::Request => self.request_ended |= body.end_of_stream,
            Side::Response => self.response_ends_if(body.end_of_stream),
        }
    }

    fn response_ends_if(&mut self, ends: bool) {
        if ends {
            self.response_ended = true;
            self.flight = None;
            self.usage = None;
        }
    }

    /// The answer to response headers: they go on as they are. `content-length` and `transfer-encoding`
    /// above all are never set.
    ///
    /// A gateway that was told to buffer the response would hold back an event stream until its end, so it
    /// is asked for the chunks instead. It does as asked where it allows that (`allow_mode_override`), and
    /// ignores it elsewhere. `NONE` would cost less, but then the end of the request would not be seen.
    fn response_headers(&self, headers: &HttpHeaders) -> ProcessingResponse {
        let buffered = matches!(self.modes.response, BodySendMode::Buffered | BodySendMode::BufferedPartial);
        let mode_override = (buffered && is_event_stream(headers)).then(|| ProcessingMode {
            // An override sets both directions, and the request may still be on its way.
            request_body_mode: self.modes.request.into(),
            response_body_mode: BodySendMode::Streamed.into(),
            ..ProcessingMode::default()
        });
        ProcessingResponse {
            response: Some(Response::ResponseHeaders(HeadersResponse::default())),
            dynamic_metadata: None,
            mode_override,
        }
    }

    /// Counts a response from an endpoint that was not named: a gateway that does not know it yet falls
    /// back to another, silently.
    fn compare_served(&self, metadata: Option<&Metadata>, account: &Account<'_>) {
        let served = metadata.and_then(|m| m.get_str(NAMESPACE, SERVED));
        if let (Some(flight), Some(served)) = (&self.flight, served) {
            let address: Option<SocketAddr> = served.trim().parse().ok();
            if !flight.targets().iter().any(|target| Some(target.address) == address) {
                account.served_elsewhere();
            }
        }
    }
}

fn is_event_stream(headers: &HttpHeaders) -> bool {
    let kind = headers.get_str("content-type");
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

/// Whether the status says so. What comes then may be what the client sent.
fn failed(headers: &HttpHeaders) -> bool {
    let status = headers.get_str(":status");
    status.is_some_and(|status| !status.starts_with('2'))
}

/// Whether the body is not what its content type says, but packed.
fn is_encoded(headers: &HttpHeaders) -> bool {
    let encoding = headers.get_str("content-encoding");
    encoding.is_some_and(|encoding| !encoding.trim().eq_ignore_ascii_case("identity"))
}
