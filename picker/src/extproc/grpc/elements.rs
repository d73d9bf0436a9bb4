//! The number of elements in a message, found before it is decoded: an element of two bytes takes fifty times as many
//! then.
//!
//! Source of the format: Protocol Buffers, "Encoding" (<https://protobuf.dev/programming-guides/encoding/>).

use bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};
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
    match count(message, Message::Request, &mut left) {
        Counted::TooMany => {
            Err(Status::out_of_range(format!("a message may have {MOST} headers and namespaces of metadata")))
        }
        Counted::All | Counted::Broken => Ok(()),
    }
}

/// The outcome of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    All,
    TooMany,
    /// The decoder ends here, too.
    Broken,
}

/// Takes the elements of `bytes` from `left`.
fn count(mut bytes: &[u8], message: Message, left: &mut usize) -> Counted {
    while !bytes.is_empty() {
        let Ok((number, wire)) = decode_key(&mut bytes) else { return Counted::Broken };
        let length = match wire {
            WireType::Varint => match decode_varint(&mut bytes) {
                Ok(_) => 0,
                Err(_) => return Counted::Broken,
            },
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => match decode_varint(&mut bytes).map(usize::try_from) {
                Ok(Ok(length)) => length,
                _ => return Counted::Broken,
            },
            // Nothing of ours has groups; the decoder skips them without keeping anything.
            WireType::StartGroup | WireType::EndGroup => return Counted::Broken,
        };
        let Some(inner) = bytes.get(..length) else { return Counted::Broken };
        if wire == WireType::LengthDelimited
            && let Some(element) = message.field(number)
        {
            let Some(fewer) = left.checked_sub(1) else { return Counted::TooMany };
            *left = fewer;
            let inner = match element {
                Message::Header | Message::Namespace => Counted::All,
                _ => count(inner, element, left),
            };
            if inner != Counted::All {
                return inner;
            }
        }
        bytes.advance(length);
    }
    Counted::All
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
