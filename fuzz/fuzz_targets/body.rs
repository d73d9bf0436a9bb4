//! Whatever bytes are given for a body: the scanner takes those, and only those, that another JSON
//! reader takes for an object, and finds the same in them. Beyond that it takes what Python does.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use picker_core::Request;
use picker_core::parse::wide::{Transcoder, Wide};
use picker_core::request::Headers;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The last two are of formats that have no `model` which every engine reads.
const PATHS: [&str; 12] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/other",
    "/v1/score",
    "/inference/v1/generate",
    "/v1/audio/speech",
    "/e:rawPredict",
    "/v1/rerank",
    "/generate",
];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, body)) = input.split_first() else { return };
    let choice = usize::from(choice) % PATHS.len();
    let path = PATHS[choice];
    // Not refused, whatever it is.
    let lenient = path == "/other" || path == "/e:rawPredict";
    let reads_model = choice < PATHS.len() - 2;
    let headers = [(":path", path), ("content-type", "application/json")];
    let headers = headers.map(|(name, value)| (Bytes::from(name), Bytes::from(value)));
    let read = Request::new(Headers(headers.into()), Bytes::copy_from_slice(body));

    if let Some(wide) = Wide::of(body) {
        let (mut transcoder, mut text) = (Transcoder::new(wide, body), String::new());
        while transcoder.step(&mut text) {}
        assert!(text.len() <= wide.longest(body.len()));
    }

    let text = std::str::from_utf8(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let is_object = text.is_ok_and(|text| {
        serde_json::from_str::<IgnoredAny>(text).is_ok() && text.trim_start().starts_with('{')
    });
    // Its own limits: it takes no number beyond f64, no half surrogate and no depth beyond 128.
    let tree = if is_object { serde_json::from_str::<Value>(text.unwrap_or_default()).ok() } else { None };
    let model = tree.as_ref().and_then(|tree| tree.get("model"));
    match read {
        Err(bad) => {
            assert!(bad.offset <= body.len());
            assert!(!lenient);
            let refusable =
                tree.is_none() || reads_model && model.is_some_and(|m| !m.is_string() && !m.is_null());
            assert!(!is_object || refusable, "refused: {bad}");
        }
        Ok(request) => {
            let has = |word: &[u8]| body.windows(word.len()).any(|bytes| bytes == word);
            // A number that is none, half of a surrogate pair, another encoding.
            let of_python = has(b"NaN") || has(b"Infinity") || has(b"\xed") || Wide::of(body).is_some();
            assert!(is_object || of_python || body.is_empty() || lenient, "taken for an object");
            for part in request.prompt() {
                assert!((of_python || std::str::from_utf8(part).is_ok()) && !part.is_empty());
            }
            if let Some(tree) = &tree {
                let salt = if path == "/generate" { "extra_key" } else { "cache_salt" };
                assert_eq!(request.model(), model.and_then(Value::as_str));
                assert_eq!(request.cache_salt(), tree.get(salt).and_then(Value::as_str));
                assert_eq!(request.content.stream, tree.get("stream") == Some(&Value::Bool(true)));
            }
        }
    }
});
