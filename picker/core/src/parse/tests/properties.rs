//! Properties of the parser beside a reader that makes a tree of a body.

use proptest::prelude::*;
use serde_json::json;

use super::super::format::FORMATS;
use super::*;
use crate::request::Text;

/// Any JSON, with fields of the top level that matter more often than not.
fn any_object() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z ]{0,40}",
        any::<String>(),
        Just("\"\\\n\u{1}é😀".to_owned()),
        Just("plain text, longer than one vector register of any machine ".repeat(3)),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    let name = prop_oneof![
        prop::sample::select(vec![
            "model",
            "cache_salt",
            "stream",
            "max_tokens",
            "prompt",
            "messages",
            "tools",
            "system",
            "input",
            "instructions",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let model = ("[a-z/\"é]{0,12}").prop_map(Value::from);
    (prop::option::of(model), prop::collection::vec((name, tree), 0..8)).prop_map(|(model, fields)| {
        let mut object: serde_json::Map<String, Value> = fields.into_iter().collect();
        match model {
            Some(model) => object.insert("model".to_owned(), model),
            None => object.remove("model"),
        };
        Value::Object(object)
    })
}

/// What the body's tree says a prompt of [`OTHER`] is.
fn prompt_values(body: &Value) -> Vec<Value> {
    ["tools", "system", "instructions", "messages", "input", "prompt"]
        .iter()
        .filter_map(|name| body.get(name))
        .filter(|v| v.as_str().is_some_and(|s| !s.is_empty()) || v.as_array().is_some_and(|a| !a.is_empty()))
        .cloned()
        .collect()
}

fn check_against_tree(body: &Value, text: &str) -> Result<(), TestCaseError> {
    let read = Request::new(Headers::default(), Bytes::copy_from_slice(text.as_bytes())).unwrap();
    prop_assert_eq!(read.model(), body.get("model").and_then(Value::as_str));
    prop_assert_eq!(read.cache_salt(), body.get("cache_salt").and_then(Value::as_str));
    prop_assert_eq!(read.content.stream, body.get("stream") == Some(&json!(true)));
    let wanted = prompt_values(body);
    prop_assert_eq!(read.prompt().count(), wanted.len());
    for (part, wanted) in read.prompt().zip(wanted) {
        let part = std::str::from_utf8(part).unwrap();
        let (open, close) = if wanted.is_string() { ('"', '"') } else { ('[', ']') };
        prop_assert!(!part.starts_with([' ', '\n']) || wanted.is_string());
        prop_assert_eq!(serde_json::from_str::<Value>(&format!("{open}{part}{close}")).unwrap(), wanted);
    }
    Ok(())
}

/// Whether serde_json, too, takes `body` for one JSON object (read without a tree, so that neither
/// depth nor the size of numbers plays a part), encoded halves of surrogate pairs aside, which Python takes.
fn is_object(body: &[u8]) -> bool {
    let mut body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec();
    for at in 0..body.len() {
        if let [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] = body[at..] {
            body[at..at + 3].fill(b'?');
        }
    }
    std::str::from_utf8(&body).is_ok_and(|text| {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() && text.trim_start().starts_with('{')
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_a_tree_reader_reads(body in any_object(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
        check_against_tree(&body, &text.unwrap())?;
    }

    /// A prefix is enough for a prefix: the prompt of a beginning is the beginning of the prompt.
    #[test]
    fn of_a_beginning_as_much_as_of_the_whole(body in any_object(), at in any::<prop::sample::Index>()) {
        let whole = serde_json::to_string(&body).unwrap();
        let at = whole.floor_char_boundary(at.index(whole.len() + 1));
        for path in [CHAT, "/v1/completions", "/generate", "/v1/rerank", "/other"] {
            let Ok(all) = request(path, &whole) else { continue };
            let (model, salt, prompt, _, _) = see_beginning(path, &whole[..at]);
            prop_assert!(model.is_none() || model == seen(&all).0);
            prop_assert!(salt.is_none() || salt == seen(&all).1);
            let parts = seen(&all).2;
            prop_assert!(prompt.iter().all(|part| parts.iter().any(|all| all.starts_with(&**part))));
        }
    }

    #[test]
    fn accepts_what_a_tree_reader_accepts(
        body in any_object(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 0..4),
    ) {
        let mut bytes = serde_json::to_vec(&body).unwrap();
        for (at, what, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            let grammar = b"{}[]\",:\\ \n0123456789.eE+-tfnu\x01\xc3";
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, grammar[usize::from(byte) % grammar.len()]),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        prop_assert_eq!(scan::object(&bytes, |_, _, _| ()).is_ok(), is_object(&bytes));
    }

    #[test]
    fn accepts_halves_of_surrogate_pairs_where_text_may_be(at in 0..=11_usize, second in 0x9e..=0xc0_u8) {
        let (before, after) = br#"{"a": "bc"}"#.split_at(at);
        let bytes = [before, &[0xed, second, 0xb0], after].concat();
        prop_assert_eq!(scan::object(&bytes, |_, _, _| ()).is_ok(), is_object(&bytes));
    }

    #[test]
    fn accepts_what_a_tree_reader_accepts_of_near_grammar(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\n\"", "1", "-0.5e3", "0", "true", "null", " ", "\n", "\"",
        ]), 0..14),
    ) {
        let inside = tokens.concat();
        for text in [inside.clone(), format!("{{{inside}}}"), format!("{{\"a\":{inside}}}")] {
            prop_assert_eq!(
                scan::object(text.as_bytes(), |_, _, _| ()).is_ok(),
                is_object(text.as_bytes()),
                "{}", text
            );
        }
    }

    #[test]
    fn a_conversation_that_goes_on_starts_with_what_it_was(
        turns in prop::collection::vec((any::<String>(), any::<String>()), 1..6),
        tools: bool,
    ) {
        let body = |turns: &[(String, String)]| {
            let messages: Vec<_> = turns.iter().map(|(role, text)| json!({"role": role, "content": text})).collect();
            let mut body = json!({"model": "m", "messages": messages, "n": turns.len()});
            if tools {
                body["tools"] = json!([{"type": "function"}]);
            }
            request(CHAT, &body.to_string()).unwrap().prompt().collect::<Vec<_>>().concat()
        };
        for n in 1..turns.len() {
            let (earlier, later) = (body(&turns[..n]), body(&turns[..n + 1]));
            prop_assert!(earlier.len() < later.len());
            prop_assert!(later.starts_with(&earlier));
        }
    }

    /// Whatever comes is read or refused, and what is read lies in it.
    #[test]
    fn any_bytes_are_read_under_any_path(
        pieces in prop::collection::vec(piece(), 0..12),
        kind in prop::sample::select(KINDS.to_vec()),
        path in prop::sample::select(FORMATS.iter().map(|format| format.path).chain(["/other"]).collect::<Vec<_>>()),
    ) {
        let body = pieces.concat();
        let mut headers = headers(path, kind);
        headers.0[0].1 = Bytes::from(if path.starts_with('/') { path.to_owned() } else { format!("/a{path}") });
        let whole = Formats::ALL.parse(&headers, &body);
        let read = [
            whole.clone().unwrap_or_default(),
            Formats::ALL.parse_beginning(&headers, &body),
            Formats::ALL.parse_text(&headers, &body),
            Formats::ALL.parse_beginning_of_text(&headers, &body),
        ];
        if let Err(bad) = whole {
            prop_assert!(bad.offset <= body.len() && kind == "application/json");
        }
        let is_grpc = is_grpc(&headers);
        for content in read {
            for text in [&content.model, &content.cache_salt].into_iter().flatten() {
                if let Text::Plain(range) = text {
                    // Halves of surrogate pairs are taken in salts, which say nothing then.
                    let text = &body[range.clone()];
                    prop_assert!(std::str::from_utf8(text).is_ok() || text.contains(&0xed));
                }
            }
            let place = match content.model_place.clone() {
                ModelPlace::Json { value } | ModelPlace::Null { value } | ModelPlace::Form { value } => value,
                ModelPlace::Absent { insert_at, .. } => insert_at..insert_at,
                ModelPlace::Fixed => 0..0,
            };
            prop_assert!(body.get(place).is_some());
            prop_assert!(content.packed_tokens <= content.prompt.len());
            for (i, range) in content.prompt.iter().chain(&content.media).enumerate() {
                prop_assert!(i >= content.prompt.len() || !range.is_empty());
                let text = body.get(range.clone());
                prop_assert!(text.is_some());
                if !is_grpc {
                    prop_assert!(std::str::from_utf8(text.unwrap()).is_ok() || text.unwrap().contains(&0xed));
                }
            }
            let request = Request { headers: headers.clone(), body: body.clone().into(), content, ..Request::default() };
            for item in media::media(&request) {
                prop_assert!(body.get(item.part).is_some() && body.get(item.content).is_some());
            }
        }
        // Waiting for as much as is enough ends with what is read of it.
        let _ = Formats::ALL.is_enough(&headers, &body);
    }
}

const KINDS: [&str; 6] = [
    "application/json",
    "",
    "application/grpc",
    "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=\"b\\\"\"",
    "text/plain",
];

/// A part of a body: of any kind, whole or broken.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let tokens = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"model\":",
        "\"prompt\":",
        "\"messages\":",
        "\"sampling_params\":",
        "\"max_tokens\":",
        "\"a\"",
        "\"\\u00e9\"",
        "null",
        "1",
        "--b",
        "\r\n",
        "\n",
        "--",
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"a\"}}",
        "Content-Disposition: form-data; name=model",
        "\u{feff}",
        "\u{e9}",
    ]);
    let numbers = prop::collection::vec(any::<u64>(), 0..4);
    let message = prop::collection::vec(
        (0..9_u64, any::<u64>(), prop::collection::vec(any::<u8>(), 0..9), numbers, 0..3_u8).prop_map(
            |(field, number, bytes, numbers, kind)| match kind {
                0 => wire::number(field, number),
                1 => wire::bytes(field, bytes),
                _ => wire::bytes(field, wire::packed(2, &numbers)),
            },
        ),
        0..5,
    )
    .prop_map(|fields| fields.concat());
    prop_oneof![
        4 => tokens.prop_map(|token| token.as_bytes().to_vec()),
        2 => any_object().prop_map(|object| object.to_string().into_bytes()),
        2 => message.prop_map(wire::framed),
        1 => any_object().prop_map(|object| wire::framed(wire::bytes(2, wire::bytes(2, object.to_string())))),
        1 => "[a-z]{0,9}".prop_map(|model| wire::text("model", &model)),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}
