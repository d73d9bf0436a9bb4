//! Making messages, for both ends.

use bytes::Bytes;
use prost::Message;
use prost_types::{Struct, Value, value::Kind};

use crate::header_value_option::HeaderAppendAction;
use crate::processing_mode::BodySendMode;
use crate::processing_request::Request;
use crate::processing_response::Response;
use crate::{
    Field, FieldValue, Fields, HeaderMap, HeaderValue, HeaderValueOption, HttpHeaders, Metadata,
    MetadataNamespace, ProcessingRequest, ProcessingResponse, ProtocolConfiguration, field_value,
};

impl HeaderValue {
    /// A header whose value goes into `raw_value`, where every gateway reads it.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: Bytes::new(), raw_value: value.into() }
    }
}

impl HeaderValueOption {
    /// Sets a header, whatever the client sent under its name.
    pub fn overwrite(key: &'static str, value: impl Into<Bytes>) -> Self {
        Self {
            header: Some(HeaderValue::new(key, value)),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        }
    }
}

impl<K: Into<Bytes>, V: Into<Bytes>> FromIterator<(K, V)> for HeaderMap {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        Self { headers: pairs.into_iter().map(|(k, v)| HeaderValue::new(k, v)).collect() }
    }
}

impl From<Request> for ProcessingRequest {
    fn from(request: Request) -> Self {
        Self { request: Some(request), ..Self::default() }
    }
}

impl From<Response> for ProcessingResponse {
    fn from(response: Response) -> Self {
        Self { response: Some(response), ..Self::default() }
    }
}

/// The first message of an exchange: the headers of the request, whether they are all of it, and how the bodies of
/// request and response will be sent.
pub fn first(
    headers: HeaderMap,
    end_of_stream: bool,
    request: BodySendMode,
    response: BodySendMode,
) -> ProcessingRequest {
    ProcessingRequest {
        protocol_config: Some(ProtocolConfiguration {
            request_body_mode: request.into(),
            response_body_mode: response.into(),
            send_body_without_waiting_for_header_response: false,
        }),
        ..Request::RequestHeaders(HttpHeaders { headers: Some(headers), end_of_stream }).into()
    }
}

/// A text of metadata.
pub fn text(value: impl Into<Bytes>) -> FieldValue {
    FieldValue { kind: Some(field_value::Kind::StringValue(value.into())) }
}

/// Metadata in metadata, such as that of a namespace.
pub fn within<const N: usize>(fields: [(&'static str, FieldValue); N]) -> FieldValue {
    FieldValue { kind: Some(field_value::Kind::StructValue(metadata(fields))) }
}

/// Metadata of an answer.
pub fn metadata<const N: usize>(fields: [(&'static str, FieldValue); N]) -> Fields {
    let field = |(key, value): (&'static str, _)| Field { key: key.into(), value: Some(value) };
    Fields { fields: fields.into_iter().map(field).collect() }
}

/// Metadata of a request: the fields of one namespace.
pub fn namespace(name: impl Into<Bytes>, fields: &Struct) -> Metadata {
    let namespace = MetadataNamespace { name: name.into(), fields: fields.encode_to_vec().into() };
    Metadata { filter_metadata: vec![namespace] }
}

/// A protobuf string value.
pub fn string(value: impl Into<String>) -> Value {
    Value { kind: Some(Kind::StringValue(value.into())) }
}

/// A protobuf struct value of the given fields.
pub fn fields<K: Into<String>>(fields: impl IntoIterator<Item = (K, Value)>) -> Struct {
    Struct { fields: fields.into_iter().map(|(k, v)| (k.into(), v)).collect() }
}
