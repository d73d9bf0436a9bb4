//! One HTTP exchange as ext_proc messages of Envoy, encoded once and sent many times.

use bytes::{BufMut, Bytes, BytesMut};
use picker_proto::build::first;
use picker_proto::processing_mode::BodySendMode;
use picker_proto::processing_request::Request;
use picker_proto::{HeaderMap, HttpBody, HttpHeaders, ProcessingRequest};
use prost::Message;

/// What Envoy reads of a body at a time.
const CHUNK: usize = 16 << 10;

/// The messages of one exchange, each in its gRPC frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request: its headers, then its body.
    pub request: Vec<Bytes>,
    /// Bytes of the request's body.
    pub body: usize,
    /// The response's headers.
    pub response: Bytes,
    /// The response's body, piece by piece.
    pub pieces: Vec<Bytes>,
    /// Bytes of the response's body.
    pub answer: usize,
}

impl Exchange {
    /// A chat completion with this body and this answer, both in full duplex.
    pub fn new(body: &[u8], answer: &[Vec<u8>], content_type: &'static str) -> Self {
        let chunks: Vec<&[u8]> = body.chunks(CHUNK).collect();
        let chunks = chunks.iter().enumerate().map(|(number, chunk)| {
            let end_of_stream = number + 1 == chunks.len();
            frame(
                &Request::RequestBody(HttpBody { body: Bytes::copy_from_slice(chunk), end_of_stream }).into(),
            )
        });
        let pieces = answer.iter().enumerate().map(|(number, piece)| {
            let end_of_stream = number + 1 == answer.len();
            let body = HttpBody { body: piece.clone().into(), end_of_stream };
            frame(&Request::ResponseBody(body).into())
        });
        Self {
            request: std::iter::once(head(BodySendMode::FullDuplexStreamed, body.len()))
                .chain(chunks)
                .collect(),
            body: body.len(),
            response: response(content_type),
            pieces: pieces.collect(),
            answer: answer.iter().map(Vec::len).sum(),
        }
    }

    /// A chat completion with a body of this length of which a gateway shows the headers alone, and those of the
    /// response, as it does with body modes of `NONE`.
    pub fn headers_alone(length: usize, content_type: &'static str) -> Self {
        Self {
            request: vec![head(BodySendMode::None, length)],
            body: 0,
            response: response(content_type),
            pieces: Vec::new(),
            answer: 0,
        }
    }
}

/// The request's headers, with the mode of both bodies. A body of `length` follows, though not always to here.
fn head(mode: BodySendMode, length: usize) -> Bytes {
    let length = length.to_string();
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "models.example.com"),
        (":path", "/v1/chat/completions"),
        ("accept", "*/*"),
        ("user-agent", "OpenAI/Python 1.99.0"),
        ("content-type", "application/json"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "5d0f1f2e-1f5c-4a53-9e7c-0a5d6a3b7c11"),
    ];
    let headers = headers.map(|(name, value)| (name, Bytes::from_static(value.as_bytes())));
    let headers = headers.into_iter().chain([("content-length", Bytes::from(length))]);
    frame(&first(HeaderMap::from_iter(headers), false, mode, mode))
}

fn response(content_type: &'static str) -> Bytes {
    let headers = Some(HeaderMap::from_iter([(":status", "200"), ("content-type", content_type)]));
    frame(&Request::ResponseHeaders(HttpHeaders { headers, end_of_stream: false }).into())
}

/// A message in its frame: not compressed, its length, itself (gRPC over HTTP/2, "Length-Prefixed-Message").
fn frame(message: &ProcessingRequest) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    // There is room for all of it.
    let _ = message.encode(&mut frame);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_and_its_last_piece_ends_it() {
        let body = vec![b' '; CHUNK + 1];
        let exchange = Exchange::new(&body, &[b"{}".to_vec()], "application/json");
        let decoded = exchange.request.iter().map(|frame| {
            assert_eq!(frame.len() - 5, u32::from_be_bytes(frame[1..5].try_into().unwrap()) as usize);
            ProcessingRequest::decode(frame.slice(5..)).unwrap().request.unwrap()
        });
        let seen: Vec<_> = decoded
            .map(|part| match part {
                Request::RequestHeaders(headers) => ("headers", 0, headers.end_of_stream),
                Request::RequestBody(body) => ("body", body.body.len(), body.end_of_stream),
                _ => ("other", 0, false),
            })
            .collect();
        assert_eq!(seen, [("headers", 0, false), ("body", CHUNK, false), ("body", 1, true)]);
        assert_eq!((exchange.body, exchange.pieces.len(), exchange.answer), (CHUNK + 1, 1, 2));
    }

    #[test]
    fn with_headers_alone_a_body_is_announced_and_not_shown() {
        let exchange = Exchange::headers_alone(4400, "application/json");
        let [first] = exchange.request.as_slice() else { panic!("{exchange:?}") };
        let first = ProcessingRequest::decode(first.slice(5..)).unwrap();
        let modes =
            first.protocol_config.map(|config| (config.request_body_mode(), config.response_body_mode()));
        assert_eq!(modes, Some((BodySendMode::None, BodySendMode::None)));
        let Some(Request::RequestHeaders(headers)) = first.request else { panic!("{first:?}") };
        assert!(!headers.end_of_stream);
        assert_eq!(headers.headers.unwrap().get_str("content-length"), Some("4400"));
        assert_eq!((exchange.body, exchange.pieces.len(), exchange.answer), (0, 0, 0));
    }
}
