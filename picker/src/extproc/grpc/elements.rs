//! The number of elements in a message, found before it is decoded: an element of two bytes takes fifty times as many
//! then.

use picker_proto::Parts;
use tonic::Status;

/// The most headers and namespaces of metadata in a message. Requests have a hundred headers, and gateways a filter for
/// each namespace. What is in a namespace is not decoded.
const MOST: usize = 16 << 10;

/// Of so many bytes no more elements can be made.
const FEW: usize = 2 * MOST;

/// The messages that have elements, by the path on which they are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Request,
    Headers,
    HeaderMap,
    Header,
    Metadata,
    Namespace,
}

impl Message {
    /// The message in the field of this number.
    fn field(self, number: u32) -> Option<Self> {
        use Message::*;
        Some(match (self, number) {
            (Request, 2 | 3 | 6 | 7) => Headers,
            (Headers, 1) => HeaderMap,
            (HeaderMap, 1) => Header,
            (Request, 8) => Metadata,
            (Metadata, 1) => Namespace,
            _ => return None,
        })
    }
}

/// Checks that a `ProcessingRequest` with so many bytes besides a body has not too many elements.
///
/// # Errors
/// When it has. What is no message is left for the decoder to refuse.
pub(super) fn check(message: &[u8], besides: usize) -> Result<(), Status> {
    if besides <= FEW {
        return Ok(());
    }
    let mut left = MOST;
    if fits(message, Message::Request, &mut left) {
        return Ok(());
    }
    Err(Status::out_of_range(format!("a message may have {MOST} headers and namespaces of metadata")))
}

/// Takes the elements of `bytes` from `left`; whether there were enough. Where it is no message, the decoder ends, too.
fn fits(bytes: &[u8], message: Message, left: &mut usize) -> bool {
    Parts(bytes).all(|(number, inner)| {
        let Some(element) = message.field(number) else { return true };
        let Some(fewer) = left.checked_sub(1) else { return false };
        *left = fewer;
        matches!(element, Message::Header | Message::Namespace) || fits(inner, element, left)
    })
}

#[cfg(test)]
mod tests {
    use picker_proto::build::{fields, namespace, string};
    use picker_proto::processing_request::Request;
    use picker_proto::{HeaderMap, HeaderValue, HttpHeaders, Metadata, MetadataNamespace, ProcessingRequest};
    use prost::Message as _;
    use tonic::Code;

    use super::*;

    /// A message with so many headers.
    fn headers(count: usize, metadata: Option<Metadata>) -> ProcessingRequest {
        let headers = HeaderMap { headers: vec![HeaderValue::default(); count] };
        let headers = HttpHeaders { headers: Some(headers), end_of_stream: false };
        ProcessingRequest { metadata_context: metadata, ..Request::RequestHeaders(headers).into() }
    }

    fn checked(message: &ProcessingRequest) -> Result<(), Code> {
        let bytes = message.encode_to_vec();
        check(&bytes, usize::MAX).map_err(|status| status.code())
    }

    #[test]
    fn headers_and_namespaces_are_counted_wherever_they_are() {
        // The message of the headers and their list count, too.
        assert_eq!(checked(&headers(MOST - 2, None)), Ok(()));
        assert_eq!(checked(&headers(MOST - 1, None)), Err(Code::OutOfRange));
        let spaces =
            |count: usize| Some(Metadata { filter_metadata: vec![MetadataNamespace::default(); count] });
        assert_eq!(checked(&headers(0, spaces(MOST - 3))), Ok(()));
        assert_eq!(checked(&headers(0, spaces(MOST - 2))), Err(Code::OutOfRange));
        assert_eq!(checked(&headers(MOST / 2, spaces(MOST / 2))), Err(Code::OutOfRange));
        // What stays encoded is one, whatever is in it.
        let fields = fields((0..2 * MOST).map(|at| (at.to_string(), string(""))));
        assert_eq!(checked(&headers(0, Some(namespace("x", &fields)))), Ok(()));
    }

    /// The decoder skips a group, and goes on.
    #[test]
    fn what_follows_a_group_is_counted() {
        let group = [99 << 3 | 3, 99 << 3 | 4].map(|key: u64| {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(key, &mut bytes);
            bytes
        });
        let message = [group.concat(), headers(MOST, None).encode_to_vec()].concat();
        assert_eq!(ProcessingRequest::decode(&message[..]).unwrap(), headers(MOST, None));
        assert_eq!(check(&message, usize::MAX).map_err(|status| status.code()), Err(Code::OutOfRange));
    }

    #[test]
    fn of_few_bytes_no_more_can_be_made() {
        let least = headers(FEW / 2, None).encode_to_vec();
        assert!(least.len() > FEW);
        assert!(check(&[], FEW).is_ok());
    }

    #[test]
    fn what_is_no_message_is_left_to_the_decoder() {
        for bytes in
            [&b"\xff"[..], b"\x12\x05\x0a", b"\x13\x12", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
        {
            assert!(check(bytes, usize::MAX).is_ok(), "{bytes:?}");
        }
    }
}
