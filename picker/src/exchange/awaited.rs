//! Whether a decision waits for a request's body, and for how much of it.

use picker_core::parse::{Formats, is_form, is_grpc};
use picker_core::request::Headers;

/// Whether a decision that reads bodies of `formats` waits for that of a request with these headers: one that can be read, and
/// whose client sends it without an answer.
pub fn is_awaited(formats: Formats, headers: &Headers) -> bool {
    !follows_answer(headers) && formats.is_readable(headers)
}

/// Tells when the beginning of a body is enough for a decision. Of JSON it never is: any field may come last.
#[derive(Debug)]
pub struct Enough {
    formats: Formats,
    /// The length at which it is looked at again: twice the last one, so that looking costs little in all.
    next: usize,
}

impl Enough {
    /// For a body that is awaited, of a request with these headers; `None` when all of it is read.
    pub fn of(formats: Formats, headers: &Headers) -> Option<Self> {
        (is_grpc(headers) || is_form(headers)).then_some(Self { formats, next: 0 })
    }

    /// Whether `beginning` is enough.
    pub fn is(&mut self, headers: &Headers, beginning: &[u8]) -> bool {
        if beginning.len() < self.next {
            return false;
        }
        // What a message of gRPC still lacks is known from its head alone.
        self.next = if is_grpc(headers) { 0 } else { 2 * beginning.len() };
        self.formats.is_enough(headers, beginning)
    }
}

/// Whether the client may wait for an answer before it sends the body: a change of the protocol (`Upgrade`, and extended
/// CONNECT of RFC 8441 and RFC 9220), and `Expect: 100-continue`. A gateway that sends the `100` itself doesn't show
/// `expect` (Envoy without `proxy_100_continue`).
fn follows_answer(headers: &Headers) -> bool {
    headers.0.iter().any(|(name, value)| match &name[..] {
        b":protocol" => true,
        b"upgrade" => !names_http(value),
        b"expect" => has(value, "100-continue"),
        _ => false,
    })
}

/// Whether an `Upgrade` names nothing but HTTP itself: such a request is sent to its end before the protocol changes
/// (RFC 7540, section 3.2). Java's client offers `h2c` with every first request of a connection.
fn names_http(upgrade: &[u8]) -> bool {
    let is_http = |name: &[u8]| {
        let name = name.split(|b| *b == b'/').next().unwrap_or(name);
        name.is_empty() || name.eq_ignore_ascii_case(b"h2c") || name.eq_ignore_ascii_case(b"http")
    };
    upgrade.split(|b| *b == b',').all(|name| is_http(name.trim_ascii()))
}

fn has(list: &[u8], name: &str) -> bool {
    list.split(|b| *b == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_body_that_may_follow_the_answer_is_not_waited_for() {
        let awaited = |name: &'static str, value: &'static str| {
            let usual =
                [(":method", "POST"), (":path", "/v1/responses"), ("content-type", "application/json")];
            let all = usual.into_iter().chain([(name, value)]);
            is_awaited(
                Formats::ALL,
                &Headers(all.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).collect()),
            )
        };
        let table = [
            ("accept", "*/*", true),
            ("upgrade", "websocket", false),
            ("upgrade", "WebSocket", false),
            ("upgrade", "SPDY/3.1", false),
            ("upgrade", "h2c, websocket", false),
            ("upgrade", "tcp", false),
            ("upgrade", "h2c", true),
            ("upgrade", "HTTP/2.0, h2c", true),
            ("upgrade", "", true),
            ("upgrade-insecure-requests", "1", true),
            (":protocol", "websocket", false),
            (":protocol", "connect-udp", false),
            ("expect", "100-continue", false),
            ("expect", "100-Continue", false),
            ("expect", "something, 100-continue", false),
            ("expect", "something", true),
            ("content-encoding", "x-unknown", false),
        ];
        assert_eq!(table.map(|(name, value, _)| (name, value, awaited(name, value))), table);
    }

    #[test]
    fn nor_is_what_cannot_be_read() {
        let awaited = |method: &'static str, kind: &'static str| {
            is_awaited(
                Formats::ALL,
                &Headers(vec![(":method".into(), method.into()), ("content-type".into(), kind.into())]),
            )
        };
        assert!(awaited("POST", "application/json"));
        assert!(!awaited("CONNECT", "application/json"));
        assert!(!awaited("GET", "application/json"));
        assert!(!awaited("POST", "application/grpc"));
    }

    fn at(path: &'static str, kind: &'static str) -> Headers {
        let pairs = [(":method", "POST"), (":path", path), ("content-type", kind)];
        Headers(pairs.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).into())
    }

    #[test]
    fn of_messages_of_grpc_the_first_is_enough() {
        let headers = at("/vllm.grpc.engine.VllmEngine/Generate", "application/grpc");
        assert!(is_awaited(Formats::ALL, &headers));
        let mut enough = Enough::of(Formats::ALL, &headers).unwrap();
        let body = b"\0\0\0\0\x02\x28\x01\0\0\0\0\x09";
        let said: Vec<_> = (0..=body.len()).map(|end| enough.is(&headers, &body[..end])).collect();
        let wanted: Vec<_> = (0..=body.len()).map(|end| end >= 7).collect();
        assert_eq!(said, wanted);
    }

    #[test]
    fn of_a_form_the_model_is_and_of_json_nothing_less_than_all() {
        let headers = at("/v1/audio/transcriptions", "multipart/form-data; boundary=b");
        assert!(is_awaited(Formats::ALL, &headers));
        let head = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--b\r\n";
        let file = format!("{head}Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n");
        let of = |length: usize| {
            Enough::of(Formats::ALL, &headers).unwrap().is(&headers, &file.as_bytes()[..length])
        };
        assert_eq!([of(10), of(head.len() - 1), of(head.len()), of(file.len())], [false, false, true, true]);
        // It is looked at as often as it doubles.
        let mut enough = Enough::of(Formats::ALL, &headers).unwrap();
        let found = (50..=file.len()).find(|&end| enough.is(&headers, &file.as_bytes()[..end]));
        assert_eq!(found, Some(100));
        assert!(Enough::of(Formats::ALL, &at("/v1/completions", "application/json")).is_none());
    }
}
