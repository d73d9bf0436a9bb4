//! Answers to a gateway.

use bytes::Bytes;
use picker_core::Flight;
use picker_core::request::Headers;
use picker_proto::body_mutation::Mutation;
use picker_proto::build::{metadata, text as value, within};
use picker_proto::processing_response::Response;
use picker_proto::{
    BodyMutation, BodyResponse, CommonResponse, Fields, HeaderMutation, HeaderValueOption, HeadersResponse,
    ProcessingResponse, StreamedBodyResponse, TrailersResponse,
};

use super::head::untrusted;

/// Header, and key of the metadata, that name the endpoint.
pub(super) const DESTINATION: &str = "x-gateway-destination-endpoint";
/// Metadata namespace that gateways read.
pub(super) const NAMESPACE: &str = "envoy.lb";
/// Metadata namespace of what Waypost tells about a decision: `revision`, of the strategy that made it.
pub(super) const EXPLAIN: &str = "waypost.dev";

/// Where a request goes, in the two forms that gateways read. They never differ.
pub(super) struct Route {
    mutation: HeaderMutation,
    metadata: Fields,
}

impl Route {
    /// The route of `flight`; what the client itself sent of that kind goes.
    pub(super) fn new(flight: &Flight, headers: &Headers) -> Self {
        let destination = Bytes::from(destination(flight));
        let revision = Bytes::copy_from_slice(flight.revision().as_bytes());
        let metadata = metadata([
            (NAMESPACE, within([(DESTINATION, value(destination.clone()))])),
            (EXPLAIN, within([("revision", value(revision))])),
        ]);
        let mutation = HeaderMutation {
            set_headers: vec![HeaderValueOption::overwrite(DESTINATION, destination)],
            remove_headers: untrusted(headers),
        };
        Self { mutation, metadata }
    }

    /// In answer to the headers.
    pub(super) fn in_headers(self) -> ProcessingResponse {
        let response = Some(common(self.mutation));
        with(Response::RequestHeaders(HeadersResponse { response }), self.metadata)
    }

    /// In answer to the body that the headers wait for.
    pub(super) fn in_body(self) -> ProcessingResponse {
        let response = Some(common(self.mutation));
        with(Response::RequestBody(BodyResponse { response }), self.metadata)
    }

    /// In answer to trailers, where metadata is all that can be given.
    pub(super) fn in_trailers(self) -> ProcessingResponse {
        with(trailers(Side::Request), self.metadata)
    }
}

/// `clear_route_cache` stays false: choosing the route anew could lead to one without this filter.
fn common(mutation: HeaderMutation) -> CommonResponse {
    CommonResponse { header_mutation: Some(mutation), ..CommonResponse::default() }
}

fn with(response: Response, metadata: Fields) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), dynamic_metadata: Some(metadata), mode_override: None }
}

fn destination(flight: &Flight) -> String {
    let mut targets = flight.targets().iter().map(|target| target.destination.as_str());
    let first = targets.next().unwrap_or_default().to_owned();
    targets.fold(first, |list, next| list + "," + next)
}

/// Which of the two directions of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// In answer to headers that wait for the body: they lose at once whatever of the client's could choose an
/// endpoint, because a gateway that gives up on the rest may send the request on.
pub(super) fn headers_before_body(headers: &Headers) -> Response {
    let mut remove_headers = untrusted(headers);
    remove_headers.push(DESTINATION.to_owned());
    let mutation = HeaderMutation { set_headers: Vec::new(), remove_headers };
    Response::RequestHeaders(HeadersResponse { response: Some(common(mutation)) })
}

/// A body, or the chunk of it that was sent, goes on as it is.
pub(super) fn body(side: Side) -> Response {
    in_side(side, BodyResponse::default())
}

/// The next piece of a body in full duplex.
pub(super) fn piece(side: Side, piece: StreamedBodyResponse) -> Response {
    let mutation = BodyMutation { mutation: Some(Mutation::StreamedResponse(piece)) };
    let response = CommonResponse { body_mutation: Some(mutation), ..CommonResponse::default() };
    in_side(side, BodyResponse { response: Some(response) })
}

fn in_side(side: Side, body: BodyResponse) -> Response {
    match side {
        Side::Request => Response::RequestBody(body),
        Side::Response => Response::ResponseBody(body),
    }
}

/// Trailers go on as they are.
pub(super) fn trailers(side: Side) -> Response {
    match side {
        Side::Request => Response::RequestTrailers(TrailersResponse::default()),
        Side::Response => Response::ResponseTrailers(TrailersResponse::default()),
    }
}

/// Text that gateways show in access logs and clients see in headers.
pub(super) fn text(value: &'static str) -> Bytes {
    Bytes::from_static(value.as_bytes())
}
