//! Which bodies are worth waiting for: told by the headers alone, before a byte of the body is there.

use super::coding::{codings, of_messages};
use super::form::is_form;
use super::format::Body;
use super::formats::Formats;
use super::grpc;
use crate::request::Headers;

/// Methods whose requests have a body with a meaning (RFC 9110, section 9.3), and `QUERY`.
const METHODS: [&[u8]; 4] = [b"POST", b"PUT", b"PATCH", b"QUERY"];

/// Content types of a JSON object, and those that clients send it under without saying so: `curl -d` and Python's
/// `urllib` say `application/x-www-form-urlencoded`, `fetch` of a browser says `text/plain`.
const TYPES: [&str; 6] = [
    "application/json",
    "application/x-json",
    "text/json",
    "text/x-json",
    "text/plain",
    "application/x-www-form-urlencoded",
];

/// Content types that end in `+json` and are streams of messages: of gRPC, of Connect
/// (<https://connectrpc.com/docs/protocol/#streaming-request>), and of Spring.
const STREAMS: [&str; 3] = ["application/grpc", "application/connect+", "application/stream+"];

/// Whether the body is a stream of gRPC's messages, in the form of Protocol Buffers.
pub fn is_grpc(headers: &Headers) -> bool {
    let Some(kind) = headers.get("content-type") else { return false };
    let kind = kind.split(|b| *b == b';').next().unwrap_or(kind).trim_ascii();
    [&b"application/grpc"[..], b"application/grpc+proto"].iter().any(|known| kind.eq_ignore_ascii_case(known))
}

impl Formats {
    /// Whether the body of a request with these headers may say something to [`Formats::parse`]: a body of a format that
    /// is read, in an encoding that can be undone. Of any other one nothing is read, however long it is, and it may be a
    /// stream that begins only with its answer. Of a stream of gRPC's messages the first is enough.
    pub fn is_readable(self, headers: &Headers) -> bool {
        // A gateway that shows no method shows what it has.
        headers.get(":method").is_none_or(|method| METHODS.contains(&method))
            && match headers.get("content-type") {
                None => self.reads_json(headers),
                Some(kind) if std::str::from_utf8(kind).is_ok_and(may_be_json) => self.reads_json(headers),
                Some(_) => self.reads_other(headers),
            }
    }

    /// Whether `beginning` says all that is read of a body of which more may come: of messages of gRPC the first one, which is
    /// all that a client may send before it has an answer; of a form its model, behind which there are files.
    pub fn is_enough(self, headers: &Headers, beginning: &[u8]) -> bool {
        if is_grpc(headers) {
            grpc::frames(beginning).next().is_some_and(|frame| frame.is_whole)
        } else {
            is_form(headers) && self.parse_beginning(headers, beginning).model.is_some()
        }
    }

    fn reads_json(self, headers: &Headers) -> bool {
        codings(headers).is_some() && (self.reads_all() || self.format(headers.path()).is_some())
    }

    /// The same of a body that is no JSON. A format of its path has to say what it is.
    fn reads_other(self, headers: &Headers) -> bool {
        match self.format(headers.path()).map(|format| format.body) {
            Some(Body::Form) => is_form(headers) && codings(headers).is_some(),
            Some(Body::Grpc(_)) => {
                is_grpc(headers)
                    && of_messages(headers).is_some()
                    && codings(headers).is_some_and(|codings| codings.is_empty())
            }
            _ => false,
        }
    }
}

fn may_be_json(kind: &str) -> bool {
    // A header that came twice is a list.
    let kind = kind.split([';', ',']).next().unwrap_or(kind).trim();
    let begins = |with: &str| kind.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    let suffix = kind.rsplit_once('+').is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"));
    kind.is_empty()
        || TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known))
        || suffix && !STREAMS.into_iter().any(begins)
}

#[cfg(test)]
mod tests;
