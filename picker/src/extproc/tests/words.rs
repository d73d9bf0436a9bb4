//! The messages of a gateway, and the answers expected, in few words.

use bytes::Bytes;
use picker_proto::body_mutation::Mutation;
pub use picker_proto::build::first;
use picker_proto::build::{fields, metadata, text, within};
use picker_proto::processing_request::Request;
use picker_proto::processing_response::Response;
use picker_proto::*;

/// An id of the request: the route of one without has a random one.
pub const ID: (&str, &str) = ("x-request-id", "id-0");

/// The headers of a chat completion, with a client's attempts to choose the endpoint itself.
pub fn chat() -> HeaderMap {
    HeaderMap::from_iter([
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ID,
    ])
}

/// The body of a request for a model.
pub fn ask(model: &str) -> Bytes {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#).into()
}

pub fn early(message: ProcessingRequest) -> ProcessingRequest {
    let config = message.protocol_config.unwrap();
    let config = ProtocolConfiguration { send_body_without_waiting_for_header_response: true, ..config };
    ProcessingRequest { protocol_config: Some(config), ..message }
}

pub fn body(bytes: impl Into<Bytes>, end: bool) -> ProcessingRequest {
    Request::RequestBody(HttpBody { body: bytes.into(), end_of_stream: end }).into()
}

pub fn trailers() -> ProcessingRequest {
    Request::RequestTrailers(HttpTrailers::default()).into()
}

pub fn response_headers(kind: &'static str, end: bool) -> ProcessingRequest {
    response_head("200", kind, end)
}

pub fn response_head(status: &'static str, kind: &'static str, end: bool) -> ProcessingRequest {
    let headers = Some(HeaderMap::from_iter([(":status", status), ("content-type", kind)]));
    Request::ResponseHeaders(HttpHeaders { headers, end_of_stream: end }).into()
}

pub fn response_body(bytes: impl Into<Bytes>, end: bool) -> ProcessingRequest {
    Request::ResponseBody(HttpBody { body: bytes.into(), end_of_stream: end }).into()
}

pub fn response_trailers() -> ProcessingRequest {
    Request::ResponseTrailers(HttpTrailers::default()).into()
}

/// The same message with metadata.
pub fn with_metadata(
    message: ProcessingRequest,
    namespace: &str,
    key: &str,
    value: Value,
) -> ProcessingRequest {
    let metadata = build::namespace(namespace.to_owned(), &fields([(key, value)]));
    ProcessingRequest { metadata_context: Some(metadata), ..message }
}

/// `text` in gzip.
pub fn gzipped(text: &[u8]) -> Bytes {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut out, text).unwrap();
    out.finish().unwrap().into()
}

/// A route as it must look: header and metadata with one value, and the revision.
pub struct Routed {
    pub destination: &'static str,
    pub revision: String,
    pub removed: Vec<String>,
}

impl Routed {
    fn common(&self) -> CommonResponse {
        CommonResponse {
            header_mutation: Some(HeaderMutation {
                set_headers: vec![HeaderValueOption {
                    header: Some(HeaderValue {
                        key: "x-gateway-destination-endpoint".into(),
                        value: Bytes::new(),
                        raw_value: self.destination.into(),
                    }),
                    append_action: header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
                }],
                remove_headers: self.removed.clone(),
            }),
            ..CommonResponse::default()
        }
    }

    fn with(&self, response: Response) -> ProcessingResponse {
        let envoy = within([("x-gateway-destination-endpoint", text(self.destination))]);
        let ours = within([("revision", text(self.revision.clone()))]);
        ProcessingResponse {
            dynamic_metadata: Some(metadata([("envoy.lb", envoy), ("waypost.dev", ours)])),
            ..response.into()
        }
    }

    pub fn in_headers(&self) -> ProcessingResponse {
        self.with(Response::RequestHeaders(HeadersResponse { response: Some(self.common()) }))
    }

    /// The same, with which a gateway that buffers lets headers and body go on.
    pub fn letting_go(&self) -> ProcessingResponse {
        let status = common_response::ResponseStatus::ContinueAndReplace.into();
        let common = CommonResponse { status, ..self.common() };
        self.with(Response::RequestHeaders(HeadersResponse { response: Some(common) }))
    }

    pub fn in_body(&self) -> ProcessingResponse {
        self.with(Response::RequestBody(BodyResponse { response: Some(self.common()) }))
    }

    pub fn in_trailers(&self) -> ProcessingResponse {
        self.with(Response::RequestTrailers(TrailersResponse::default()))
    }
}

/// The answer to headers that wait for the body, without `removed` and the destination.
pub fn go_on_without(removed: &[&str]) -> ProcessingResponse {
    let removed = removed.iter().chain(&["x-gateway-destination-endpoint"]);
    let mutation = HeaderMutation {
        set_headers: Vec::new(),
        remove_headers: removed.map(|&name| name.to_owned()).collect(),
    };
    let response = CommonResponse { header_mutation: Some(mutation), ..CommonResponse::default() };
    Response::RequestHeaders(HeadersResponse { response: Some(response) }).into()
}

pub fn go_on_headers() -> ProcessingResponse {
    go_on_without(&[])
}

pub fn go_on_body() -> ProcessingResponse {
    Response::RequestBody(BodyResponse::default()).into()
}

pub fn go_on_trailers() -> ProcessingResponse {
    Response::RequestTrailers(TrailersResponse::default()).into()
}

pub fn go_on_response_headers() -> ProcessingResponse {
    Response::ResponseHeaders(HeadersResponse::default()).into()
}

pub fn go_on_response_body() -> ProcessingResponse {
    Response::ResponseBody(BodyResponse::default()).into()
}

pub fn go_on_response_trailers() -> ProcessingResponse {
    Response::ResponseTrailers(TrailersResponse::default()).into()
}

fn streamed(bytes: Bytes, end: bool) -> BodyResponse {
    let piece = StreamedBodyResponse { body: bytes, end_of_stream: end };
    let mutation = Some(BodyMutation { mutation: Some(Mutation::StreamedResponse(piece)) });
    BodyResponse { response: Some(CommonResponse { body_mutation: mutation, ..CommonResponse::default() }) }
}

pub fn echo(bytes: impl Into<Bytes>, end: bool) -> ProcessingResponse {
    Response::RequestBody(streamed(bytes.into(), end)).into()
}

pub fn echo_response(bytes: impl Into<Bytes>, end: bool) -> ProcessingResponse {
    Response::ResponseBody(streamed(bytes.into(), end)).into()
}

/// The headers with one more.
pub fn with_header(mut headers: HeaderMap, name: &str, value: &str) -> HeaderMap {
    headers.headers.extend(HeaderMap::from_iter([(name.to_owned(), value.to_owned())]).headers);
    headers
}

/// The bytes and the end of an echoed piece of a request's body.
pub fn echoed(answer: &ProcessingResponse) -> (Bytes, bool) {
    let Some(Response::RequestBody(body)) = &answer.response else { panic!("no body: {answer:?}") };
    let mutation = body.response.as_ref().unwrap().body_mutation.as_ref().unwrap();
    let Some(Mutation::StreamedResponse(piece)) = &mutation.mutation else { panic!("no piece: {answer:?}") };
    (piece.body.clone(), piece.end_of_stream)
}
