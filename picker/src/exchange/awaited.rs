//! Whether a decision waits for a request's body.

use picker_core::parse;
use picker_core::request::Headers;

/// Whether a decision that reads bodies waits for that of a request with these headers: one that can be read, and whose
/// client sends it without an answer.
pub fn is_awaited(headers: &Headers) -> bool {
    !follows_answer(headers) && parse::is_readable(headers)
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
            is_awaited(&Headers(all.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).collect()))
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
            is_awaited(&Headers(vec![
                (":method".into(), method.into()),
                ("content-type".into(), kind.into()),
            ]))
        };
        assert!(awaited("POST", "application/json"));
        assert!(!awaited("CONNECT", "application/json"));
        assert!(!awaited("GET", "application/json"));
        assert!(!awaited("POST", "application/grpc"));
    }
}
