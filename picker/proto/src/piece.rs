//! Pieces of a body in full duplex, encoded without a copy of them.

use bytes::{BufMut, Bytes};
use prost::{encode_length_delimiter, length_delimiter_len};

use crate::body_mutation::Mutation;
use crate::processing_response::Response;
use crate::{BodyResponse, CommonResponse, ProcessingResponse, StreamedBodyResponse};

/// Keys of the fields around a piece, from the outside in: `ProcessingResponse.request_body` or `response_body`,
/// `BodyResponse.response`, `CommonResponse.body_mutation`, `BodyMutation.streamed_response`; and in it
/// `StreamedBodyResponse.body` and `end_of_stream`. All but the last are of the wire type LEN.
const REQUEST_BODY: u8 = 3 << 3 | 2;
const RESPONSE_BODY: u8 = 4 << 3 | 2;
const RESPONSE: u8 = 1 << 3 | 2;
const BODY_MUTATION: u8 = 3 << 3 | 2;
const STREAMED_RESPONSE: u8 = 3 << 3 | 2;
const BODY: u8 = 1 << 3 | 2;
const END_OF_STREAM: u8 = 2 << 3;

/// An answer that says nothing but the next piece of a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Streamed<'a> {
    /// The piece.
    pub body: &'a Bytes,
    side: u8,
    end: bool,
    /// Lengths of the messages around it, from the outside in.
    lengths: [usize; 4],
}

impl<'a> Streamed<'a> {
    /// What `answer` says, if it is that.
    pub fn of(answer: &'a ProcessingResponse) -> Option<Self> {
        let ProcessingResponse { response, dynamic_metadata: None, mode_override: None } = answer else {
            return None;
        };
        let (side, BodyResponse { response }) = match response.as_ref()? {
            Response::RequestBody(body) => (REQUEST_BODY, body),
            Response::ResponseBody(body) => (RESPONSE_BODY, body),
            _ => return None,
        };
        let CommonResponse { status: 0, header_mutation: None, body_mutation, clear_route_cache: false } =
            response.as_ref()?
        else {
            return None;
        };
        let Mutation::StreamedResponse(piece) = body_mutation.as_ref()?.mutation.as_ref()? else {
            return None;
        };
        let StreamedBodyResponse { body, end_of_stream: end } = piece;
        Some(Self { body, side, end: *end, lengths: lengths(body.len(), *end) })
    }

    /// Bytes of the answer, the piece included.
    pub fn encoded_len(&self) -> usize {
        field(self.lengths[0])
    }

    /// Encodes what goes before the piece: the piece itself comes last.
    pub fn encode_before(&self, buffer: &mut impl BufMut) {
        let keys = [self.side, RESPONSE, BODY_MUTATION, STREAMED_RESPONSE];
        for (key, length) in keys.into_iter().zip(self.lengths) {
            delimited(key, length, buffer);
        }
        if self.end {
            buffer.put_slice(&[END_OF_STREAM, 1]);
        }
        delimited(BODY, self.body.len(), buffer);
    }
}

fn lengths(body: usize, end: bool) -> [usize; 4] {
    let streamed = field(body) + if end { 2 } else { 0 };
    let mutation = field(streamed);
    let common = field(mutation);
    [field(common), common, mutation, streamed]
}

/// Bytes of a field of the type LEN with so many.
fn field(length: usize) -> usize {
    1 + length_delimiter_len(length) + length
}

fn delimited(key: u8, length: usize, buffer: &mut impl BufMut) {
    buffer.put_u8(key);
    // A buffer that grows has room.
    let _ = encode_length_delimiter(length, buffer);
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::{BodyMutation, HeaderMutation};

    fn answer(side: fn(BodyResponse) -> Response, body: usize, end_of_stream: bool) -> ProcessingResponse {
        let piece = StreamedBodyResponse { body: vec![7; body].into(), end_of_stream };
        let mutation = BodyMutation { mutation: Some(Mutation::StreamedResponse(piece)) };
        let response = CommonResponse { body_mutation: Some(mutation), ..CommonResponse::default() };
        side(BodyResponse { response: Some(response) }).into()
    }

    #[test]
    fn decodes_to_what_it_was() {
        for side in [Response::RequestBody, Response::ResponseBody] {
            for body in [1, 100, 127, 128, 16_383, 16_384, 62_000, 3_000_000] {
                for end in [false, true] {
                    let answer = answer(side, body, end);
                    let streamed = Streamed::of(&answer).unwrap();
                    let mut wire = Vec::new();
                    streamed.encode_before(&mut wire);
                    wire.extend_from_slice(streamed.body);
                    assert_eq!((wire.len(), answer.encoded_len()), (streamed.encoded_len(), wire.len()));
                    assert!(ProcessingResponse::decode(&wire[..]).unwrap() == answer, "{body} {end}");
                }
            }
        }
    }

    #[test]
    fn an_answer_that_says_more_is_none() {
        let with = |change: fn(&mut ProcessingResponse)| {
            let mut answer = answer(Response::RequestBody, 10, true);
            change(&mut answer);
            Streamed::of(&answer).is_some()
        };
        assert!(with(|_| {}));
        assert!(!with(|answer| answer.dynamic_metadata = Some(crate::Fields::default())));
        assert!(!with(|answer| answer.mode_override = Some(crate::ProcessingMode::default())));
        assert!(!with(|answer| {
            let Some(Response::RequestBody(BodyResponse { response: Some(common) })) = &mut answer.response
            else {
                panic!("a body")
            };
            common.header_mutation = Some(HeaderMutation::default());
        }));
        assert_eq!(Streamed::of(&Response::RequestBody(BodyResponse::default()).into()), None);
    }
}
