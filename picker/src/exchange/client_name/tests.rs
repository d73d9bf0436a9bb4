use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SERVER: &str = "qwen-v2";
const CLIENT: &str = "my \"qwen\"";

/// What a client gets of `answer` that comes in pieces which end at `cuts`.
fn passed(kind: &str, answer: &[u8], cuts: &[usize]) -> String {
    let mut name = ClientName::new(SERVER, CLIENT);
    name.head(kind, false);
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (answer.len() + 1)).collect();
    cuts.extend([0, answer.len()]);
    cuts.sort_unstable();
    let mut got = Vec::new();
    for pair in cuts.windows(2) {
        let piece = &answer[pair[0]..pair[1]];
        let last = pair[1] == answer.len();
        got.extend_from_slice(&name.pass(piece, last).unwrap_or(Bytes::copy_from_slice(piece)));
    }
    got.extend_from_slice(&name.rest().unwrap_or_default());
    String::from_utf8(got).unwrap()
}

const JSON: &str = "application/json; charset=utf-8";
const EVENTS: &str = "text/event-stream";

#[test]
fn the_name_is_replaced_where_answers_have_it_and_nowhere_else() {
    let mine = r#""my \"qwen\"""#;
    for (answer, expected) in [
        (
            r#"{"id":1,"model" : "qwen-v2","choices":[]}"#,
            format!(r#"{{"id":1,"model" : {mine},"choices":[]}}"#),
        ),
        // As another server's JSON has it.
        (r#"{"model":"qwen\u002dv2"}"#, format!(r#"{{"model":{mine}}}"#)),
        (r#"{"response":{"model":"qwen-v2"}}"#, format!(r#"{{"response":{{"model":{mine}}}}}"#)),
        (
            r#"{"type":"message_start","message":{"a":{"model":"qwen-v2"},"model":"qwen-v2"}}"#,
            format!(r#"{{"type":"message_start","message":{{"a":{{"model":"qwen-v2"}},"model":{mine}}}}}"#),
        ),
    ] {
        assert_eq!(passed(JSON, answer.as_bytes(), &[]), expected);
    }
    for same in [
        r#"{"model":"qwen-v20"}"#,
        r#"{"model":"another","object":"qwen-v2"}"#,
        r#"{"choices":[{"model":"qwen-v2"}],"x":{"model":"qwen-v2"}}"#,
        r#"{"choices":[{"message":{"content":"{\"model\":\"qwen-v2\"}"}}]}"#,
        r#"[{"model":"qwen-v2"}]"#,
        r#"{"message":["model","qwen-v2"],"response":[{"model":"qwen-v2"}]}"#,
        r#"{"input":{"a":["model","qwen-v2"]},"n":["model","qwen-v2"]}"#,
        r#"{"model":{"model":"qwen-v2"},"message":"model","x":"qwen-v2"}"#,
        r#"{"model":["qwen-v2"],"a":"model","b":"qwen-v2"}"#,
        r#"{"mod\u0065l":"qwen-v2"}"#,
        r#"{"model":"qwen-v"#,
        r#"{"model":"qwen-v2\"#,
        "",
        "}]},\"model\":\"qwen-v2\"",
    ] {
        assert_eq!(passed(JSON, same.as_bytes(), &[]), same);
    }
}

#[test]
fn events_are_read_by_their_data() {
    let events = concat!(
        ": {\"model\":\"qwen-v2\"}\r\n",
        "event: {\"model\":\"qwen-v2\"}\n",
        "data:{\"model\":\"qwen-v2\"}\n\n",
        "data: {\"open\":\"\n",
        "data: {\"model\":\"qwen-v2\"}\r\n\r\n",
        "data: {\"model\":\"qwen\ndata: -v2\"}\n",
        "data: [DONE]\n\n",
    );
    let expected = concat!(
        ": {\"model\":\"qwen-v2\"}\r\n",
        "event: {\"model\":\"qwen-v2\"}\n",
        "data:{\"model\":\"my \\\"qwen\\\"\"}\n\n",
        "data: {\"open\":\"\n",
        "data: {\"model\":\"my \\\"qwen\\\"\"}\r\n\r\n",
        "data: {\"model\":\"qwen\ndata: -v2\"}\n",
        "data: [DONE]\n\n",
    );
    assert_eq!(passed(EVENTS, events.as_bytes(), &[]), expected);
    for cut in 0..events.len() {
        assert_eq!(passed(EVENTS, events.as_bytes(), &[cut]), expected, "{cut}");
    }
}

#[test]
fn what_cannot_be_read_or_has_no_name_is_not_copied() {
    let mut name = ClientName::new(SERVER, CLIENT);
    for (kind, encoded) in [("application/grpc", false), ("", false), (JSON, true), ("audio/mpeg", false)] {
        assert!(!name.head(kind, encoded), "{kind}");
        assert_eq!(name.pass(br#"{"model":"qwen-v2"}"#, true), None, "{kind}");
    }
    assert!(name.head("application/problem+json", false));
    assert_eq!(name.pass(br#"{"model":"another","choices":[{"text":"a"}]}"#, true), None);
}

/// A document, in which some names are those that are looked for.
fn document() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["model", "message", "response", "id", "mo\"del", "models"]);
    let text = prop::sample::select(vec![SERVER, CLIENT, "model", "", "qwen-v", "qwen-v2x", "ü\\\"\n"]);
    let leaf = prop_oneof![text.prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(Value::Null)];
    leaf.prop_recursive(4, 40, 4, move |inner| {
        let object = prop::collection::vec((key.clone(), inner.clone()), 0..4);
        prop_oneof![
            object
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

/// The same with the client's name in the three places.
fn renamed(document: &Value) -> Value {
    let mut renamed = document.clone();
    for path in ["/model", "/response/model", "/message/model"] {
        // A pointer may lead through an array; these don't.
        if let Some(place) = renamed.pointer_mut(path)
            && *place == json!(SERVER)
        {
            *place = json!(CLIENT);
        }
    }
    renamed
}

proptest! {
    #[test]
    fn any_pieces_of_json_give_the_same(document in document(), pretty in any::<bool>(), cuts in prop::collection::vec(any::<usize>(), 0..20)) {
        let text = |value: &Value| if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap();
        prop_assert_eq!(passed(JSON, text(&document).as_bytes(), &cuts), text(&renamed(&document)));
    }

    #[test]
    fn any_pieces_of_events_give_the_same(documents in prop::collection::vec(document(), 0..4), cuts in prop::collection::vec(any::<usize>(), 0..20)) {
        let text = |rename: bool| -> String {
            let data = documents.iter().map(|one| if rename { renamed(one) } else { one.clone() });
            data.map(|one| format!("event: x\ndata: {one}\n\n")).collect()
        };
        prop_assert_eq!(passed(EVENTS, text(false).as_bytes(), &cuts), text(true));
    }

    #[test]
    fn whatever_comes_goes_on_in_any_pieces(answer in "[{}\\[\\],:\"\\\\a model qwen-v2\n]{0,80}", cuts in prop::collection::vec(any::<usize>(), 0..10), events in any::<bool>()) {
        let kind = if events { EVENTS } else { JSON };
        prop_assert_eq!(passed(kind, answer.as_bytes(), &cuts), passed(kind, answer.as_bytes(), &[]));
    }
}
