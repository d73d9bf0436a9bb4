//! Wire bytes, written down by hand from the published field numbers.

use bytes::Bytes;
use prost::Message;

use crate::body_mutation::Mutation;
use crate::build::{fields, metadata, namespace, string, text, within};
use crate::processing_mode::BodySendMode;
use crate::processing_request::Request;
use crate::processing_response::Response;
use crate::*;

/// Encodes to `wire`, and back to itself.
fn assert_wire<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, wire: &[u8]) {
    assert_eq!(message.encode_to_vec(), wire);
    assert_eq!(M::decode(wire).unwrap(), message);
}

#[test]
fn request_headers() {
    let headers = HeaderMap::from_iter([(":path", "/v1")]);
    let request = ProcessingRequest {
        request: Some(Request::RequestHeaders(HttpHeaders { headers: Some(headers), end_of_stream: true })),
        protocol_config: Some(ProtocolConfiguration {
            request_body_mode: BodySendMode::FullDuplexStreamed.into(),
            response_body_mode: BodySendMode::Streamed.into(),
            send_body_without_waiting_for_header_response: true,
        }),
        observability_mode: true,
        ..Default::default()
    };
    let wire =
        b"\x12\x12\x0a\x0e\x0a\x0c\x0a\x05:path\x1a\x03/v1\x18\x01\x50\x01\x5a\x06\x08\x04\x10\x01\x18\x01";
    assert_wire(request, wire);
}

#[test]
fn request_body_and_trailers() {
    let body = HttpBody { body: Bytes::from_static(b"hi"), end_of_stream: true };
    assert_wire(ProcessingRequest::from(Request::RequestBody(body.clone())), b"\x22\x06\x0a\x02hi\x10\x01");
    assert_wire(ProcessingRequest::from(Request::ResponseBody(body)), b"\x2a\x06\x0a\x02hi\x10\x01");
    assert_wire(ProcessingRequest::from(Request::RequestTrailers(HttpTrailers::default())), b"\x32\x00");
    assert_wire(ProcessingRequest::from(Request::ResponseTrailers(HttpTrailers::default())), b"\x3a\x00");
    assert_wire(ProcessingRequest::from(Request::ResponseHeaders(HttpHeaders::default())), b"\x1a\x00");
}

#[test]
fn unknown_fields_are_skipped() {
    // Field 9 (attributes) and field 99 around a request body.
    let wire = b"\x4a\x02\x0a\x00\x22\x02\x10\x01\x9a\x06\x01x";
    let body = HttpBody { body: Bytes::new(), end_of_stream: true };
    assert_eq!(ProcessingRequest::decode(&wire[..]).unwrap(), Request::RequestBody(body).into());
}

#[test]
fn metadata_of_a_request() {
    let hint = fields([("k", string("v"))]);
    let request = ProcessingRequest { metadata_context: Some(namespace("ns", &hint)), ..Default::default() };
    let wire = b"\x42\x12\x0a\x10\x0a\x02ns\x12\x0a\x0a\x08\x0a\x01k\x12\x03\x1a\x01v";
    assert_wire(request.clone(), wire);
    let metadata = request.metadata_context.unwrap();
    assert_eq!(metadata.get_str("ns", "k"), Some("v"));
    assert_eq!(metadata.get_str("ns", "other"), None);
}

#[test]
fn headers_reply_with_destination() {
    let set = HeaderValueOption::overwrite("d", "1");
    let response = ProcessingResponse {
        response: Some(Response::RequestHeaders(HeadersResponse {
            response: Some(CommonResponse {
                header_mutation: Some(HeaderMutation {
                    set_headers: vec![set],
                    remove_headers: vec!["x".into()],
                }),
                ..Default::default()
            }),
        })),
        dynamic_metadata: Some(metadata([("n", within([]))])),
        mode_override: Some(ProcessingMode {
            response_body_mode: BodySendMode::Streamed.into(),
            ..Default::default()
        }),
    };
    let wire = b"\x0a\x13\x0a\x11\x12\x0f\x0a\x0a\x0a\x06\x0a\x01d\x1a\x011\x18\x02\x12\x01x\
        \x42\x09\x0a\x07\x0a\x01n\x12\x02\x2a\x00\x4a\x02\x20\x01";
    assert_wire(response, wire);
}

#[test]
fn metadata_of_a_reply_is_a_struct() {
    let told = metadata([("a", within([("k", text("v"))])), ("b", text("w"))]);
    let read = Struct::decode(&told.encode_to_vec()[..]).unwrap();
    let nested = Value { kind: Some(Kind::StructValue(fields([("k", string("v"))]))) };
    assert_eq!(read, fields([("a", nested), ("b", string("w"))]));
    let texts = [("a", "k"), ("a", "v"), ("b", "w"), ("c", "k")].map(|(space, key)| told.get_str(space, key));
    assert_eq!(texts, [Some("v"), None, None, None]);
}

#[test]
fn body_replies() {
    let streamed = StreamedBodyResponse { body: Bytes::from_static(b"hi"), end_of_stream: true };
    let reply = |mutation| BodyResponse {
        response: Some(CommonResponse {
            body_mutation: Some(BodyMutation { mutation: Some(mutation) }),
            ..Default::default()
        }),
    };
    assert_wire(
        ProcessingResponse::from(Response::RequestBody(reply(Mutation::StreamedResponse(streamed)))),
        b"\x1a\x0c\x0a\x0a\x1a\x08\x1a\x06\x0a\x02hi\x10\x01",
    );
    assert_wire(
        ProcessingResponse::from(Response::ResponseBody(reply(Mutation::Body(Bytes::from_static(b"b"))))),
        b"\x22\x07\x0a\x05\x1a\x03\x0a\x01b",
    );
    assert_wire(
        ProcessingResponse::from(Response::RequestTrailers(TrailersResponse::default())),
        b"\x2a\x00",
    );
}

#[test]
fn immediate_reply() {
    let response = Response::ImmediateResponse(ImmediateResponse {
        status: Some(HttpStatus { code: 503 }),
        headers: Some(HeaderMutation::default()),
        body: Bytes::from_static(b"no"),
        details: "d".into(),
    });
    assert_wire(
        ProcessingResponse::from(response),
        b"\x3a\x0e\x0a\x03\x08\xf7\x03\x12\x00\x1a\x02no\x2a\x01d",
    );
}

#[test]
fn a_decoded_body_is_a_slice_of_the_buffer() {
    let wire = Bytes::from_static(b"\x22\x06\x0a\x02hi\x10\x01");
    let Some(Request::RequestBody(body)) = ProcessingRequest::decode(wire.clone()).unwrap().request else {
        panic!("not a body");
    };
    assert_eq!(body.body.as_ptr(), wire[4..].as_ptr());
}

#[test]
fn header_values_are_read_from_either_field() {
    let plain = HeaderValue { key: "a".into(), value: "1".into(), raw_value: Bytes::new() };
    let both = HeaderValue { key: "b".into(), value: "1".into(), raw_value: "2".into() };
    let map = HeaderMap { headers: vec![plain, both, HeaderValue::new("b", "3")] };
    assert_eq!((map.get_str("a"), map.get_str("b"), map.get_str("c")), (Some("1"), Some("2"), None));
}
