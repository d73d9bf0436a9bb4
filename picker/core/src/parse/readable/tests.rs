use bytes::Bytes;

use super::*;

fn readable(pairs: &[(&'static str, &'static str)]) -> bool {
    let pair = |(name, value): &(&'static str, &'static str)| (Bytes::from(*name), Bytes::from(*value));
    Formats::ALL.is_readable(&Headers(pairs.iter().map(pair).collect()))
}

#[test]
fn what_may_be_json_is_read() {
    let kinds = [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/json, application/json", true),
        ("application/vnd.api+json", true),
        ("text/json", true),
        ("text/plain;charset=UTF-8", true),
        ("application/x-www-form-urlencoded", true),
        ("", true),
        ("multipart/form-data; boundary=x", false),
        ("application/octet-stream", false),
        ("application/grpc", false),
        ("application/grpc+json", false),
        ("application/grpc-web+json", false),
        ("application/connect+json", false),
        ("application/stream+json", false),
        ("application/x-ndjson", false),
        ("application/jsonl", false),
        ("application/json-seq", false),
        ("application/sdp", false),
        ("application/x-protobuf", false),
        ("application/msgpack", false),
        ("text/event-stream", false),
        ("text/html", false),
        ("audio/wav", false),
        ("image/png", false),
        ("\u{e9}", false),
        ("*/*", false),
    ];
    for (kind, expected) in kinds {
        assert_eq!(readable(&[(":method", "POST"), ("content-type", kind)]), expected, "{kind}");
    }
    assert!(!Formats::ALL.is_readable(&Headers(vec![("content-type".into(), Bytes::from_static(b"\xff"))])));
    assert!(readable(&[]));
}

#[test]
fn methods_without_a_body_and_packed_bodies_are_not() {
    let methods =
        ["POST", "PUT", "PATCH", "QUERY", "GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post"];
    let read = methods.map(|method| readable(&[(":method", method), ("content-type", "application/json")]));
    assert_eq!(read, [true, true, true, true, false, false, false, false, false, false, false]);
    for (encoding, expected) in [("identity", true), ("", true), ("gzip", true), ("x-mine", false)] {
        let headers = [(":method", "POST"), ("content-encoding", encoding)];
        assert_eq!(readable(&headers), expected, "{encoding}");
    }
}
