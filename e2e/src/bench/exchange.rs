//! One HTTP exchange as Envoy tells it to an external processor, encoded once and sent many times.

use bytes::{BufMut, Bytes, BytesMut};
use picker_proto::processing_mode::BodySendMode;
use picker_proto::processing_request::Request;
use picker_proto::{HeaderMap, HttpBody, HttpHeaders, ProcessingRequest, ProtocolConfiguration};
use prost::Message;

/// What Envoy reads of a body at a time.
const CHUNK: usize = 16 << 10;

/// The messages of one exchange, each in its gRPC frame.
#[derive(Clone, Debug)]
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
        let length = body.len().to_string();
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
        let first = ProcessingRequest {
            protocol_config: Some(ProtocolConfiguration {
                request_body_mode: BodySendMode::FullDuplexStreamed.into(),
                response_body_mode: BodySendMode::FullDuplexStreamed.into(),
                ..ProtocolConfiguration::default()
            }),
            ..Request::RequestHeaders(HttpHeaders {
                headers: Some(HeaderMap::from_iter(headers)),
                end_of_stream: false,
            })
            .into()
        };
        let chunks: Vec<&[u8]> = body.chunks(CHUNK).collect();
        let pieces = chunks.iter().enumerate().map(|(number, chunk)| {
            let end_of_stream = number + 1 == chunks.len();
            Request::RequestBody(HttpBody { body: Bytes::copy_from_slice(chunk), end_of_stream }).into()
        });
        let request = std::iter::once(first).chain(pieces).map(|message| frame(&message)).collect();

        let response = Request::ResponseHeaders(HttpHeaders {
            headers: Some(HeaderMap::from_iter([(":status", "200"), ("content-type", content_type)])),
            end_of_stream: false,
        });
        let pieces = answer.iter().enumerate().map(|(number, piece)| {
            let end_of_stream = number + 1 == answer.len();
            let body = HttpBody { body: piece.clone().into(), end_of_stream };
            frame(&Request::ResponseBody(body).into())
        });
        Self {
            request,
            body: body.len(),
            response: frame(&response.into()),
            pieces: pieces.collect(),
            answer: answer.iter().map(Vec::len).sum(),
        }
    }
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
}
