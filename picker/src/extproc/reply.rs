//! Answers to a gateway.

use bytes::Bytes;
use picker_core::edits::{MetadataValue, Metadatum};
use picker_core::request::Headers;
use picker_core::trust::Trust;
use picker_core::{Edits, Flight, Hot};
use picker_proto::body_mutation::Mutation;
use picker_proto::build::{metadata, text as value, within};
use picker_proto::common_response::ResponseStatus;
use picker_proto::field_value::Kind as FieldKind;
use picker_proto::header_value_option::HeaderAppendAction;
use picker_proto::processing_response::Response;
use picker_proto::{
    BodyMutation, BodyResponse, CommonResponse, Field, FieldValue, Fields, HeaderMutation, HeaderValue,
    HeaderValueOption, HeadersResponse, ProcessingResponse, StreamedBodyResponse, TrailersResponse,
};

use crate::exchange::{EXPLAIN_NAMESPACE, untrusted};

/// Header, and key of the metadata, that name the endpoint.
pub(super) const DESTINATION: &str = "x-gateway-destination-endpoint";
/// The id by which logs and `/debug/decisions` know a request.
const REQUEST_ID: &str = "x-request-id";
/// Metadata namespace that gateways read.
pub(super) const NAMESPACE: &str = "envoy.lb";

/// Where a request goes, in the two forms that gateways read, which never differ; with what plugins change of it.
pub(super) struct Route {
    mutation: HeaderMutation,
    metadata: Fields,
    clear_route: bool,
}

impl Route {
    /// The route of `flight`; what the client itself sent of that kind goes.
    pub(super) fn new(hot: &Hot, flight: &Flight, headers: &Headers, trust: Trust) -> Self {
        let edits = flight.edits();
        let destination = edits.destination().cloned().unwrap_or_else(|| Bytes::from(destination(flight)));
        let revision = Bytes::copy_from_slice(flight.revision().as_bytes());
        let mut metadata = metadata([
            (NAMESPACE, within([(DESTINATION, value(destination.clone()))])),
            (EXPLAIN_NAMESPACE, within([("revision", value(revision))])),
        ]);
        add_metadata(&mut metadata, edits);
        let mut mutation = HeaderMutation {
            set_headers: vec![HeaderValueOption::overwrite(DESTINATION, destination)],
            remove_headers: untrusted(hot, trust, headers).map(str::to_owned).collect(),
        };
        if headers.get(REQUEST_ID).is_none() {
            mutation.set_headers.push(HeaderValueOption::overwrite(REQUEST_ID, request_id(rand::random())));
        }
        add_headers(&mut mutation, edits);
        Self { mutation, metadata, clear_route: edits.clears_route() }
    }

    /// Where its headers lead a request, with `mutation` made of them; they choose the route again if `anew`.
    pub(super) fn by_headers(mutation: HeaderMutation, anew: bool) -> Self {
        Self { mutation, metadata: Fields::default(), clear_route: anew }
    }

    /// Takes out the header `name`, too, if it is among `headers`.
    pub(super) fn remove(&mut self, name: &str, headers: &Headers) {
        if headers.get(name).is_some() {
            self.mutation.remove_headers.push(name.to_owned());
        }
    }

    fn common(&mut self, body: Option<Bytes>) -> Option<CommonResponse> {
        let body_mutation = body.map(|body| BodyMutation { mutation: Some(Mutation::Body(body)) });
        Some(CommonResponse {
            body_mutation,
            clear_route_cache: self.clear_route,
            ..common(std::mem::take(&mut self.mutation))
        })
    }

    /// In answer to the headers.
    pub(super) fn in_headers(mut self) -> ProcessingResponse {
        let response = self.common(None);
        with(Response::RequestHeaders(HeadersResponse { response }), self.metadata)
    }

    /// In answer to headers that would wait for the body: they and the body go on, and the gateway shows no more of the
    /// request. Without a body in its answer nothing is replaced.
    pub(super) fn letting_go(mut self) -> ProcessingResponse {
        let status = ResponseStatus::ContinueAndReplace.into();
        let response = self.common(None).map(|common| CommonResponse { status, ..common });
        with(Response::RequestHeaders(HeadersResponse { response }), self.metadata)
    }

    /// In answer to the body that the headers wait for; `body` takes its place.
    pub(super) fn in_body(mut self, body: Option<Bytes>) -> ProcessingResponse {
        let response = self.common(body);
        with(Response::RequestBody(BodyResponse { response }), self.metadata)
    }

    /// In answer to trailers, where metadata is all that can be given.
    pub(super) fn in_trailers(self) -> ProcessingResponse {
        with(trailers(Side::Request), self.metadata)
    }
}

/// The id of a request that came without: a random UUID (RFC 9562, version 4) of these bits.
fn request_id(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let part = |shift: u32, digits: u32| (bits >> shift) & ((1 << (4 * digits)) - 1);
    let [a, b, c, d, e] =
        [(96, 8), (80, 4), (64, 4), (48, 4), (0, 12)].map(|(shift, digits)| part(shift, digits));
    format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
}

/// Adds the headers of `edits`. One that is set is not removed, although a client sent it.
fn add_headers(mutation: &mut HeaderMutation, edits: &Edits) {
    for (name, value) in edits.headers() {
        // Whoever sets these breaks the message.
        if matches!(&**name, "content-length" | "transfer-encoding") {
            continue;
        }
        mutation.remove_headers.retain(|removed| removed != name);
        let header = Some(HeaderValue::new(Bytes::copy_from_slice(name.as_bytes()), value.clone()));
        let append_action = HeaderAppendAction::OverwriteIfExistsOrAdd.into();
        mutation.set_headers.push(HeaderValueOption { header, append_action });
    }
    mutation.remove_headers.extend(edits.removed().iter().map(|name| name.to_string()));
}

/// Adds the metadata of `edits`, each key in its namespace.
fn add_metadata(metadata: &mut Fields, edits: &Edits) {
    for Metadatum { namespace, key, value } in edits.metadata() {
        let value = match value {
            MetadataValue::Text(text) => FieldKind::StringValue(text.clone()),
            MetadataValue::Number(number) => FieldKind::NumberValue(*number),
            MetadataValue::Numbers(numbers) => FieldKind::StructValue(struct_of(numbers)),
        };
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let field = Field { key: bytes(key), value: Some(FieldValue { kind: Some(value) }) };
        let namespace = bytes(namespace);
        let within = metadata.fields.iter_mut().find(|field| field.key == namespace);
        match within.and_then(|field| field.value.as_mut()).and_then(|value| value.kind.as_mut()) {
            Some(FieldKind::StructValue(fields)) => fields.fields.push(field),
            _ => {
                let fields = Fields { fields: vec![field] };
                let value = FieldValue { kind: Some(FieldKind::StructValue(fields)) };
                metadata.fields.push(Field { key: namespace, value: Some(value) });
            }
        }
    }
}

fn struct_of(numbers: &[(Bytes, f64)]) -> Fields {
    let value = |number: f64| Some(FieldValue { kind: Some(FieldKind::NumberValue(number)) });
    Fields { fields: numbers.iter().map(|(key, n)| Field { key: key.clone(), value: value(*n) }).collect() }
}

/// An answer with the metadata of `edits`. By value, so that no second copy is kept while it is sent.
pub(super) fn told(answer: impl Into<ProcessingResponse>, edits: &Edits) -> ProcessingResponse {
    let mut answer = answer.into();
    if !edits.metadata().is_empty() {
        add_metadata(answer.dynamic_metadata.get_or_insert_default(), edits);
    }
    answer
}

/// In answer to the headers of a response: they go on, with the headers of `edits`.
pub(super) fn response_headers(edits: &Edits) -> Response {
    let mut mutation = HeaderMutation::default();
    add_headers(&mut mutation, edits);
    let changes = !mutation.set_headers.is_empty() || !mutation.remove_headers.is_empty();
    Response::ResponseHeaders(HeadersResponse { response: changes.then(|| common(mutation)) })
}

/// `clear_route_cache` is false unless a plugin says otherwise: choosing the route anew could lead to one without this filter.
fn common(mutation: HeaderMutation) -> CommonResponse {
    CommonResponse { header_mutation: Some(mutation), ..CommonResponse::default() }
}

fn with(response: Response, metadata: Fields) -> ProcessingResponse {
    let metadata = (!metadata.fields.is_empty()).then_some(metadata);
    ProcessingResponse { response: Some(response), dynamic_metadata: metadata, mode_override: None }
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
pub(super) fn headers_before_body(hot: &Hot, headers: &Headers, trust: Trust) -> Response {
    let mut remove_headers: Vec<_> = untrusted(hot, trust, headers).map(str::to_owned).collect();
    remove_headers.push(DESTINATION.to_owned());
    let mutation = HeaderMutation { set_headers: Vec::new(), remove_headers };
    Response::RequestHeaders(HeadersResponse { response: Some(common(mutation)) })
}

/// A body, or the chunk of it that was sent, goes on as it is.
pub(super) fn body(side: Side) -> Response {
    in_side(side, BodyResponse::default())
}

/// A body, or the chunk of it that was sent, goes on as `new`.
pub(super) fn replaced(side: Side, new: Bytes) -> Response {
    let body_mutation = Some(BodyMutation { mutation: Some(Mutation::Body(new)) });
    let response = CommonResponse { body_mutation, ..CommonResponse::default() };
    in_side(side, BodyResponse { response: Some(response) })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_request_is_a_random_uuid() {
        assert_eq!(request_id(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(request_id(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(
            request_id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            "01234567-89ab-4def-8123-456789abcdef"
        );
    }
}
