//! Which bodies are worth waiting for: told by the headers alone, before a byte of the body is there.

use super::coding::codings;
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

/// Whether the body of a request with these headers may say something to [`parse`](super::parse): a body that is
/// JSON, or may be, in an encoding that can be undone. Of any other one nothing is read, however long it is, and it may
/// be a stream that begins only with its answer.
pub fn is_readable(headers: &Headers) -> bool {
    // A gateway that shows no method shows what it has.
    headers.get(":method").is_none_or(|method| METHODS.contains(&method))
        && headers.get("content-type").is_none_or(|kind| std::str::from_utf8(kind).is_ok_and(may_be_json))
        && codings(headers).is_some()
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
