use bytes::Bytes;
use rstest::rstest;
use serde_json::Value;

use super::json::HALF_A_PAIR;
use super::*;

mod corpus;
mod properties;
pub(crate) mod wire;

fn headers(path: &str, content_type: &str) -> Headers {
    Headers(vec![
        (Bytes::from_static(b":path"), Bytes::copy_from_slice(path.as_bytes())),
        (Bytes::from_static(b"content-type"), Bytes::copy_from_slice(content_type.as_bytes())),
    ])
}

fn request(path: &str, body: &str) -> Result<Request, BadBody> {
    Request::new(headers(path, "application/json"), Bytes::copy_from_slice(body.as_bytes()))
}

/// What plugins see: model, salt, prompt parts, stream flag, limit.
type Seen = (Option<String>, Option<String>, Vec<String>, bool, Option<u64>);

fn seen(request: &Request) -> Seen {
    (
        request.model().map(str::to_owned),
        request.cache_salt().map(str::to_owned),
        request.prompt().map(|part| String::from_utf8(part.to_vec()).unwrap()).collect(),
        request.content.stream,
        request.content.max_tokens,
    )
}

fn see(path: &str, body: &str) -> Seen {
    seen(&request(path, body).unwrap())
}

fn strings(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|p| (*p).to_owned()).collect()
}

const CHAT: &str = "/v1/chat/completions";

#[test]
fn reads_a_chat() {
    let body = r#" {
        "messages": [ {"role": "user", "content": "Say \"hi\" [}"}, {"role": "assistant"} ] ,
        "tools": [{"type": "function"}],
        "model": "llama", "cache_salt": "tenant-a", "stream": true,
        "max_tokens": 7, "max_completion_tokens": 9, "prompt": "no part of a chat"
    } "#;
    let parts =
        [r#"{"type": "function"}"#, r#"{"role": "user", "content": "Say \"hi\" [}"}, {"role": "assistant"}"#];
    assert_eq!(
        see("/v1/chat/completions?beta=1", body),
        (Some("llama".into()), Some("tenant-a".into()), strings(&parts), true, Some(9))
    );
}

#[rstest]
#[case::completion("/v1/completions", &["p"], Some(1))]
#[case::embedding("/v1/embeddings", &[r#"{"m":1}"#, "i"], None)]
#[case::response("/v1/responses", &[r#"{"t":1}"#, "n", "i"], Some(3))]
#[case::anthropic("/v1/messages", &[r#"{"t":1}"#, "s", r#"{"m":1}"#], Some(1))]
#[case::unclaimed("/other", &[r#"{"t":1}"#, "s", "n", r#"{"m":1}"#, "i", "p"], Some(2))]
fn each_format_has_its_prompt(#[case] path: &str, #[case] parts: &[&str], #[case] limit: Option<u64>) {
    let body = r#"{"prompt":"p","input":"i","messages":[{"m":1}],"instructions":"n","system":"s",
        "tools":[{"t":1}],"max_tokens":1,"max_completion_tokens":2,"max_output_tokens":3}"#;
    assert_eq!(see(path, body), (None, None, strings(parts), false, limit));
}

/// Where another model would be written, and the body with the name `new` there.
#[rstest]
#[case::plain(r#"{"a":1,"model": "old","b":2}"#, ModelPlace::Json { value: 17..20 }, r#"{"a":1,"model": "new","b":2}"#)]
#[case::escapes(r#"{"mod\u0065l":"\u006fld"}"#, ModelPlace::Json { value: 15..23 }, r#"{"mod\u0065l":"new"}"#)]
#[case::empty(r#"{"model":""}"#, ModelPlace::Json { value: 10..10 }, r#"{"model":"new"}"#)]
#[case::twice(r#"{"model":"a","model":"b"}"#, ModelPlace::Json { value: 22..23 }, r#"{"model":"a","model":"new"}"#)]
#[case::null(r#"{"model":null}"#, ModelPlace::Null { value: 9..13 }, r#"{"model":"new"}"#)]
#[case::null_at_last(r#"{"model":"a","model":null}"#, ModelPlace::Null { value: 21..25 }, r#"{"model":"a","model":"new"}"#)]
#[case::absent(r#" { "a":1}"#, ModelPlace::Absent { insert_at: 2, object_is_empty: false }, r#" {"model":"new", "a":1}"#)]
#[case::no_field("\u{feff}{ }", ModelPlace::Absent { insert_at: 4, object_is_empty: true }, "\u{feff}{\"model\":\"new\" }")]
#[case::elsewhere(r#"{"a":{"model":"x"}}"#, ModelPlace::Absent { insert_at: 1, object_is_empty: false }, r#"{"model":"new","a":{"model":"x"}}"#)]
fn another_model_can_be_written(#[case] body: &str, #[case] place: ModelPlace, #[case] rewritten: &str) {
    let found = request(CHAT, body).unwrap().content.model_place;
    assert_eq!(found, place);
    let (range, text) = match found {
        ModelPlace::Json { value } | ModelPlace::Form { value } => (value, "new"),
        ModelPlace::Null { value } => (value, "\"new\""),
        ModelPlace::Absent { insert_at, object_is_empty: true } => {
            (insert_at..insert_at, "\"model\":\"new\"")
        }
        ModelPlace::Absent { insert_at, .. } => (insert_at..insert_at, "\"model\":\"new\","),
        ModelPlace::Fixed => unreachable!(),
    };
    let mut spliced = body.to_owned();
    spliced.replace_range(range, text);
    assert_eq!(spliced, rewritten);
    assert_eq!(see(CHAT, &spliced).0.as_deref(), Some("new"));
}

#[test]
fn no_model_is_written_into_what_was_not_read_to_its_end() {
    let headers = headers(CHAT, "application/json");
    let place = |content: Content| content.model_place;
    for text in [r#"{"model":"m"}"#, "{}", r#"{"model":null}"#] {
        assert_eq!(
            place(Formats::ALL.parse_beginning_of_text(&headers, text.as_bytes())),
            ModelPlace::Fixed,
            "{text}"
        );
    }
    assert_eq!(place(parse(&headers, b"").unwrap()), ModelPlace::Fixed);
    assert_eq!(
        place(Formats::ALL.parse_beginning(&headers, br#"{"model":"m","a":"#)),
        ModelPlace::Json { value: 10..11 }
    );
    // It may come later.
    assert_eq!(place(Formats::ALL.parse_beginning(&headers, br#"{"a":1,"model":"m"#)), ModelPlace::Fixed);
}

#[rstest]
#[case::tokens(r#"{"prompt":[1, 22,3 ]}"#, &["1, 22,3"])]
#[case::batch(r#"{"prompt":["a","b"]}"#, &[r#""a","b""#])]
#[case::nested(r#"{"prompt":[[1],[2,[]]]}"#, &["[1],[2,[]]"])]
#[case::empty_array(r#"{"prompt":[ ]}"#, &[])]
#[case::empty_string(r#"{"prompt":""}"#, &[])]
#[case::object(r#"{"prompt":{"a":[1]}}"#, &[])]
#[case::number(r#"{"prompt":5}"#, &[])]
#[case::null(r#"{"prompt":null}"#, &[])]
fn a_prompt_is_a_string_or_an_array(#[case] body: &str, #[case] parts: &[&str]) {
    assert_eq!(see("/v1/completions", body).2, strings(parts));
}

#[rstest]
#[case("16", Some(16))]
#[case("16.0", Some(16))]
#[case("1e3", Some(1000))]
#[case("18446744073709551615", Some(u64::MAX))]
#[case("1.5", None)]
#[case("-1", None)]
#[case("1e400", None)]
#[case("\"16\"", None)]
#[case("null", None)]
fn a_limit_is_a_whole_number(#[case] number: &str, #[case] limit: Option<u64>) {
    assert_eq!(see(CHAT, &format!(r#"{{"max_tokens":{number}}}"#)).4, limit);
}

#[rstest]
#[case::text(CHAT, r#"{"messages":[{"role":"user","content":"{\"type\":\"image_url\"}"}]}"#, false)]
#[case::text_part(CHAT, r#"{"messages":[{"content":[{"type":"text","text":"image_url"}]}]}"#, false)]
#[case::image(
    CHAT,
    r#"{"messages":[{"content":[{"type":"text"},{"type":"image_url","image_url":{}}]}]}"#,
    true
)]
#[case::spaces(
    CHAT,
    "{\"messages\" : [ { \"content\" : [ { \"a\":1, \"type\" :\n \"video_url\" } ] } ] }",
    true
)]
#[case::audio(CHAT, r#"{"messages":[{"content":[{"input_audio":{},"type":"input_audio"}]}]}"#, true)]
#[case::embeds(CHAT, r#"{"messages":[{"content":[{"type":"image_embeds"}]}]}"#, true)]
#[case::then_text(
    CHAT,
    r#"{"messages":[{"content":[{"type":"image_url"},{"type":"text"}]}],"model":"m"}"#,
    true
)]
#[case::response("/v1/responses", r#"{"input":[{"content":[{"type":"input_image"}]}]}"#, true)]
#[case::anthropic("/v1/messages", r#"{"messages":[{"content":[{"type":"image","source":{}}]}]}"#, true)]
#[case::tool_result("/v1/messages", r#"{"messages":[{"content":[{"content":[{"type":"image"}]}]}]}"#, true)]
#[case::tool(CHAT, r#"{"tools":[{"type":"image"}],"messages":[{"content":"x"}]}"#, false)]
#[case::other_field(CHAT, r#"{"metadata":{"type":"image"},"messages":[{"content":"x"}]}"#, false)]
#[case::other_format("/v1/completions", r#"{"messages":[{"type":"image"}],"prompt":["x"]}"#, false)]
#[case::longer_name(CHAT, r#"{"messages":[{"type":"image_generation_call"},{"type":"imagery"}]}"#, false)]
#[case::no_string(CHAT, r#"{"messages":[{"type":["image"]},{"type":1}]}"#, false)]
#[case::key(CHAT, r#"{"messages":[{"image":"type"}]}"#, false)]
#[case::twice(CHAT, r#"{"messages":[{"type":"image"}],"messages":[{"type":"text"}]}"#, false)]
fn content_parts_with_media_are_seen(#[case] path: &str, #[case] body: &str, #[case] multimodal: bool) {
    assert_eq!(request(path, body).unwrap().is_multimodal(), multimodal);
}

/// What plugins see of a request of which only the beginning is there.
fn see_beginning(path: &str, body: &str) -> Seen {
    let headers = headers(path, "application/json");
    let content = Formats::ALL.parse_beginning(&headers, body.as_bytes());
    let body = Bytes::copy_from_slice(body.as_bytes());
    seen(&Request { headers, body, content, ..Request::default() })
}

#[rstest]
#[case::whole(r#"{"model":"m","messages":[1,2],"stream":true}"#, Some("m"), &["1,2"], true)]
#[case::after_a_field(r#"{"model":"m","messages":[1,2],"str"#, Some("m"), &["1,2"], false)]
#[case::after_a_comma(r#"{"model":"m","messages":[1,2],"#, Some("m"), &["1,2"], false)]
#[case::in_messages(r#"{"model":"m","messages":[ {"role":"user","content":"Hel"#, Some("m"), &[r#"{"role":"user","content":"Hel"#], false)]
#[case::in_an_escape(r#"{"messages":["a\u00"#, None, &[r#""a\u00"#], false)]
#[case::at_a_bracket(r#"{"model":"m","messages":["#, Some("m"), &[], false)]
#[case::in_the_model(r#"{"messages":[1],"model":"llam"#, None, &["1"], false)]
#[case::in_a_flag(r#"{"messages":[1],"stream":tru"#, None, &["1"], false)]
#[case::at_the_end_of_a_flag(r#"{"messages":[1],"stream":true"#, None, &["1"], true)]
#[case::at_the_end_of_an_array(r#"{"messages":[1,2]"#, None, &["1,2"], false)]
#[case::in_an_object(r#"{"messages":[1],"metadata":{"messages":[2"#, None, &["1"], false)]
#[case::in_a_name(r#"{"mess"#, None, &[], false)]
#[case::broken(r#"{"model":"m","messages":[1,]}"#, Some("m"), &[], false)]
#[case::no_text(r#"{"model":7,"messages":[1"#, None, &[], false)]
#[case::no_object("[1", None, &[], false)]
fn of_a_beginning_what_is_there_counts(
    #[case] body: &str,
    #[case] model: Option<&str>,
    #[case] prompt: &[&str],
    #[case] stream: bool,
) {
    assert_eq!(see_beginning(CHAT, body), (model.map(Into::into), None, strings(prompt), stream, None));
}

#[test]
fn a_beginning_may_end_within_a_character_or_the_text_of_a_prompt() {
    let headers = headers("/v1/completions", "application/json");
    let whole = "{\"model\":\"m\",\"prompt\":\"caf\u{e9}".as_bytes();
    let cut = &whole[..whole.len() - 1];
    let content = Formats::ALL.parse_beginning(&headers, cut);
    let request = Request { headers, body: Bytes::copy_from_slice(cut), content, ..Request::default() };
    assert_eq!((request.model(), request.prompt().collect::<Vec<_>>()), (Some("m"), vec![&b"caf"[..]]));
}

#[test]
fn escapes_are_resolved_in_names_and_in_text() {
    let body = r#"{"mod\u0065l":"a\/b\ud83d\ude00","cache_salt":"\"","\u0073tream":true}"#;
    assert_eq!(see(CHAT, body), (Some("a/b😀".into()), Some("\"".into()), vec![], true, None));
}

#[test]
fn of_a_field_that_is_there_twice_the_last_counts() {
    let body = r#"{"model":"a","messages":[1],"model":"b","messages":[2],"stream":true,"stream":false}"#;
    assert_eq!(see(CHAT, body), (Some("b".into()), None, strings(&["2"]), false, None));
}

#[test]
fn fields_inside_others_are_not_read() {
    let body = r#"{"metadata":{"model":"x","stream":true},"messages":[{"model":"y","prompt":"z"}]}"#;
    assert_eq!(see("/v1/completions", body), (None, None, vec![], false, None));
}

#[rstest]
#[case::cut(r#"{"model":"a""#, 12, "the JSON text ends too early")]
#[case::cut_string(r#"{"model":"a"#, 11, "the JSON text ends too early")]
#[case::only_space("  ", 2, "the JSON text ends too early")]
#[case::list("[1]", 0, "expected '{': a request is a JSON object")]
#[case::text("hello", 0, "expected '{': a request is a JSON object")]
#[case::trailing_comma(r#"{"a":1,}"#, 7, "expected the name of a field, in double quotes")]
#[case::trailing_comma_deep(r#"{"a":[1,]}"#, 8, "expected a JSON value")]
#[case::no_comma(r#"{"a":1 "b":2}"#, 7, "expected ',' or '}'")]
#[case::wrong_bracket(r#"{"a":[1}"#, 7, "expected ',' or ']'")]
#[case::wrong_bracket_deep(r#"{"a":[{"b":1]]}"#, 12, "expected ',' or '}'")]
#[case::no_colon(r#"{"a" 1}"#, 5, "expected ':'")]
#[case::single_quotes(r#"{'a':1}"#, 1, "expected the name of a field, in double quotes")]
#[case::python(r#"{"a":None}"#, 5, "expected a JSON value")]
#[case::half_word(r#"{"a":nul}"#, 8, "expected a JSON value")]
#[case::half_nan(r#"{"a":Na}"#, 5, "expected a JSON value")]
#[case::nan_in_lower_case(r#"{"a":nan}"#, 6, "expected a JSON value")]
#[case::half_infinity(r#"{"a":Inf}"#, 5, "expected a JSON value")]
#[case::half_minus_infinity(r#"{"a":-Infinite}"#, 6, "expected a digit")]
#[case::plus_infinity(r#"{"a":+Infinity}"#, 5, "expected a JSON value")]
#[case::minus_nan(r#"{"a":-NaN}"#, 6, "expected a digit")]
#[case::two_marks("\u{feff}\u{feff}{}", 3, "expected '{': a request is a JSON object")]
#[case::text_after("{}\0", 2, "expected nothing more after the JSON object")]
#[case::form_feed("\u{c}{}", 0, "expected '{': a request is a JSON object")]
#[case::leading_zero(r#"{"a":01}"#, 6, "expected ',' or '}'")]
#[case::bare_point(r#"{"a":1.}"#, 7, "expected a digit")]
#[case::bare_minus(r#"{"a":-}"#, 6, "expected a digit")]
#[case::bare_exponent(r#"{"a":1e+}"#, 8, "expected a digit")]
#[case::raw_newline("{\"a\":\"x\ny\"}", 7, "a control character in a string must be escaped")]
#[case::raw_after_escape("{\"a\":\"\\n\u{1}\"}", 8, "a control character in a string must be escaped")]
#[case::bad_escape(r#"{"a":"\x"}"#, 7, "unknown escape in a string")]
#[case::short_escape(r#"{"a":"\u12"}"#, 10, "expected four hexadecimal digits after \\u")]
#[case::two_documents(r#"{} {}"#, 3, "expected nothing more after the JSON object")]
#[case::model_number(
    r#"{"model": 5}"#,
    10,
    "\"model\" must be a string; put the name of the model in double quotes"
)]
#[case::model_list(
    r#"{"model":["a"]}"#,
    10,
    "\"model\" must be a string; put the name of the model in double quotes"
)]
#[case::model_half(r#"{"model":"\ud800"}"#, 10, HALF_A_PAIR)]
#[case::model_low_half(r#"{"model":"a\ude00\ud83d"}"#, 10, HALF_A_PAIR)]
fn a_broken_body_is_refused_where_it_breaks(
    #[case] body: &str,
    #[case] offset: usize,
    #[case] message: &'static str,
) {
    assert_eq!(request(CHAT, body).map(|r| seen(&r)), Err(BadBody { offset, message }));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for (body, offset) in [
        (&b"{\"messages\":[\"\xff\"]}"[..], 14),
        (b"{\"messages\":[\"caf\xe9\"]}", 17),
        // After half of a surrogate pair, which alone would be taken.
        (b"{\"messages\":[\"\xed\xa0\xbd\xff\"]}", 17),
        // Characters beyond Unicode, and more bytes than one takes.
        (b"{\"messages\":[\"\xf4\x90\x80\x80\"]}", 14),
        (b"{\"messages\":[\"\xc0\xaf\"]}", 14),
        (b"{\"messages\":[\"\xed\xa0", 14),
    ] {
        let bad = BadBody { offset, message: "not UTF-8" };
        assert_eq!(parse(&headers(CHAT, "application/json"), body), Err(bad), "{body:?}");
    }
}

/// What Python's `json.loads` takes of bytes, and so what vLLM and SGLang read, is read too.
#[rstest]
#[case::nan(r#"{"model":"m","prompt":"p","temperature":NaN}"#)]
#[case::infinity(r#"{"model":"m","prompt":"p","top_p":Infinity,"logit_bias":{"1":-Infinity}}"#)]
#[case::limit(r#"{"max_tokens":NaN,"model":"m","prompt":"p"}"#)]
#[case::unlimited(r#"{"max_tokens":Infinity,"model":"m","prompt":"p"}"#)]
#[case::large(r#"{"model":"m","prompt":"p","seed":1e999999,"n":123456789012345678901234567890}"#)]
#[case::half_elsewhere(r#"{"user":"\ud83d","model":"m","prompt":"p"}"#)]
#[case::space("\r\n\t {\"model\":\"m\",\"prompt\":\"p\"}\n\n")]
#[case::mark("\u{feff}{\"model\":\"m\",\"prompt\":\"p\"}")]
#[case::twice(r#"{"model":1,"prompt":[],"model":"m","prompt":"p"}"#)]
fn what_engines_take_is_read(#[case] body: &str) {
    assert_eq!(see("/v1/completions", body), (Some("m".into()), None, strings(&["p"]), false, None));
}

#[test]
fn encoded_halves_of_surrogate_pairs_are_taken_but_not_in_the_name_of_the_model() {
    let half = b"\xed\xa0\xbd";
    let body =
        [&b"{\"model\":\"m\",\"user\":\""[..], half, b"\xc3\xa9", half, b"\",\"prompt\":\"p", half, b"\"}"]
            .concat();
    let read = Request::new(headers("/v1/completions", "application/json"), body.into()).unwrap();
    assert_eq!((read.model(), read.prompt().collect::<Vec<_>>()), (Some("m"), vec![&b"p\xed\xa0\xbd"[..]]));
    let model = [&b"{\"model\":\"m"[..], half, b"\"}"].concat();
    let bad = BadBody { offset: 10, message: HALF_A_PAIR };
    assert_eq!(parse(&headers(CHAT, "application/json"), &model), Err(bad));
}

/// As the picker reads them after it has turned them into UTF-8; before, they say nothing, and are no reason to refuse.
#[test]
fn wide_encodings_are_never_refused() {
    for text in [r#"{"model":"m","prompt":"p"}"#, r#"{"model":1}"#, "[1]", r#"{"a":"#] {
        let wide = |encode: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(encode).collect::<Vec<u8>>();
        for body in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
            assert_eq!(parse(&headers(CHAT, "application/json"), &body), Ok(Content::default()), "{text}");
        }
        let refused = parse(&headers(CHAT, "application/json"), text.as_bytes()).is_err();
        assert_eq!(refused, text != r#"{"model":"m","prompt":"p"}"#);
    }
    let text = br#"{"model":"m","prompt":"p"}"#;
    let mut compressed = headers("/v1/completions", "application/json");
    compressed.0.push((Bytes::from_static(b"content-encoding"), Bytes::from_static(b"gzip")));
    let (content, body) = (Formats::ALL.parse_text(&compressed, text), Bytes::from_static(text));
    let request = Request { headers: compressed, body, content, ..Request::default() };
    assert_eq!(seen(&request), (Some("m".into()), None, strings(&["p"]), false, None));
    assert_eq!(Formats::ALL.parse_text(&headers(CHAT, "application/json"), b"[1]"), Content::default());
}

#[rstest]
#[case::json(CHAT, "application/json", true)]
#[case::charset(CHAT, "Application/JSON; charset=utf-8", true)]
#[case::suffix(CHAT, "application/vnd.api+json", true)]
#[case::other_type(CHAT, "application/x-www-form-urlencoded", false)]
#[case::no_type(CHAT, "", false)]
#[case::other_path("/v1/audio/transcriptions", "application/json", false)]
fn only_known_formats_that_claim_json_are_refused(
    #[case] path: &str,
    #[case] kind: &str,
    #[case] refused: bool,
) {
    for body in ["{\"model\":", "{\"model\":1}", "--boundary\r\n", "\0\0\0"] {
        let read = parse(&headers(path, kind), body.as_bytes());
        assert_eq!(read.is_err(), refused, "{body}");
        assert_eq!(read.unwrap_or_default(), Content::default(), "{body}");
    }
}

#[test]
fn a_body_that_says_nothing_of_itself_is_read_all_the_same() {
    let body = Bytes::from_static(b"\xef\xbb\xbf{\"model\":\"m\",\"prompt\":\"p\"}");
    for headers in [Headers::default(), headers("/v1/completions", "text/plain")] {
        let request = Request::new(headers, body.clone()).unwrap();
        assert_eq!(seen(&request), (Some("m".into()), None, strings(&["p"]), false, None));
    }
}

#[test]
fn compressed_and_absent_bodies_are_nobodys_business() {
    for values in [&["gzip"][..], &["identity", "br"], &["identity, unknown"]] {
        let mut compressed = headers(CHAT, "application/json");
        let named = |value: &&'static str| {
            (Bytes::from_static(b"content-encoding"), Bytes::from_static(value.as_bytes()))
        };
        compressed.0.extend(values.iter().map(named));
        assert_eq!(parse(&compressed, b"\x1f\x8b"), Ok(Content::default()), "{values:?}");
    }
    for value in ["", "Identity", "identity, identity"] {
        let mut plain = headers(CHAT, "application/json");
        plain.0.push((Bytes::from_static(b"content-encoding"), Bytes::from_static(value.as_bytes())));
        assert!(parse(&plain, b"{\"stream\":true}").unwrap().stream, "{value}");
    }
    assert_eq!(parse(&headers(CHAT, "application/json"), b""), Ok(Content::default()));
}

#[test]
fn neither_depth_nor_size_matters() {
    let depth = 200_000;
    let body = format!(r#"{{"messages":[{}{}],"model":"m"}}"#, "[".repeat(depth), "]".repeat(depth));
    let read = request(CHAT, &body).unwrap();
    assert_eq!(read.model(), Some("m"));
    assert_eq!(read.prompt().map(<[u8]>::len).collect::<Vec<_>>(), [2 * depth]);
    let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert_eq!(see(CHAT, &objects), (None, None, vec![], false, None));
    let long = "x".repeat(8 << 20);
    assert_eq!(see("/v1/completions", &format!(r#"{{"prompt":"{long}"}}"#)).2, [long]);
}

/// Conversations are longer than what names the model, and may come first.
#[test]
fn the_model_may_come_after_all_of_a_long_conversation() {
    let turn = r#"{"role":"user","content":"What is the weather in \u0050aris, \"and\" who is model?"},"#;
    let messages = turn.repeat((400 << 10) / turn.len() + 1);
    let body = format!(r#"{{"messages":[{}],"model":"m","stream":true}}"#, &messages[..messages.len() - 1]);
    let at = body.len() - r#"m","stream":true}"#.len();
    let read = request(CHAT, &body).unwrap();
    assert!(at > 400 << 10);
    assert_eq!(read.content.model_place, ModelPlace::Json { value: at..at + 1 });
    assert_eq!((read.model(), read.content.stream), (Some("m"), true));
    assert_eq!(read.prompt().map(<[u8]>::len).collect::<Vec<_>>(), [messages.len() - 1]);
}

const BILLING: &str = r#"{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.100.7b4; cc_entrypoint=cli; cch=eb6c6;"}"#;

/// The prompt of a request for Anthropic's Messages API.
fn messages_prompt(body: &str) -> String {
    let request = request("/v1/messages?beta=true", body).unwrap();
    assert!(request.prompt().all(|part| !part.is_empty()));
    String::from_utf8(request.prompt().collect::<Vec<_>>().concat()).unwrap()
}

#[rstest]
#[case::first(r#""system":[BILLING,{"type":"text","text":"a"}]"#, r#""system":[{"type":"text","text":"a"}]"#)]
#[case::spaced(r#""system": [ BILLING , {"text":"a"} ]"#, r#""system":[ {"text":"a"} ]"#)]
#[case::in_the_middle(
    r#""system":[{"text":"a"}, BILLING, {"text":"b"}]"#,
    r#""system":[{"text":"a"}, {"text":"b"}]"#
)]
#[case::last(r#""system":[{"text":"a"}, BILLING]"#, r#""system":[{"text":"a"}]"#)]
#[case::twice(r#""system":[BILLING,BILLING,{"text":"a"},BILLING,BILLING]"#, r#""system":[{"text":"a"}]"#)]
#[case::alone(r#""system":[BILLING]"#, r#""system":[]"#)]
#[case::other_order(
    r#""system":[{"cache_control":null,"text":"x-anthropic-billing-header: 1","type":"text"},{"text":"a"}]"#,
    r#""system":[{"text":"a"}]"#
)]
#[case::no_colon(r#""system":[{"type":"text","text":"x-anthropic-billing-header"},1]"#, r#""system":[1]"#)]
#[case::a_line(r#""system":"x-anthropic-billing-header: cch=1;\nYou \\n are""#, r#""system":"You \\n are""#)]
#[case::escaped(r#""system":"x-anthropic-billing-header: \\n \" \u000aYou are""#, r#""system":"You are""#)]
#[case::all_of_it(r#""system":"x-anthropic-billing-header: cch=1;""#, r#""system":"""#)]
#[case::message(
    r#""messages":[{"role":"user","content":"a"},{"role":"system","content":[BILLING,{"type":"text","text":"b"}]}]"#,
    r#""messages":[{"role":"user","content":"a"},{"role":"system","content":[{"type":"text","text":"b"}]}]"#
)]
#[case::message_with_a_line(
    r#""messages":[{"content":"x-anthropic-billing-header: 1\nb","role":"system"}]"#,
    r#""messages":[{"content":"b","role":"system"}]"#
)]
#[case::cache_control(
    r#""tools":[{"name":"t","cache_control":{"type":"ephemeral","ttl":"1h"}}],
       "system":[{"type":"text","text":"s", "cache_control" : {"type":"ephemeral"} }],
       "messages":[{"role":"user","content":[{"cache_control":{"type":"ephemeral"}, "type":"text"},{"cache_control":null}]}]"#,
    r#""tools":[{"name":"t"}],"system":[{"type":"text","text":"s" }],
       "messages":[{"role":"user","content":[{"type":"text"},{}]}]"#
)]
fn what_engines_leave_out_is_no_part_of_the_prompt(#[case] with: &str, #[case] without: &str) {
    let with = format!("{{\"model\":\"m\",{}}}", with.replace("BILLING", BILLING));
    let (with, without) = (messages_prompt(&with), messages_prompt(&format!("{{{without}}}")));
    assert_eq!(with, without);
}

#[rstest]
#[case::user(r#"{"messages":[{"role":"user","content":[BILLING]}]}"#)]
#[case::user_text(r#"{"messages":[{"role":"user","content":"x-anthropic-billing-header: 1\nb"}]}"#)]
#[case::other_block(r#"{"system":[{"type":"image","text":"x-anthropic-billing-header: 1"}]}"#)]
#[case::later_in_a_text(r#"{"system":[{"type":"text","text":"See x-anthropic-billing-header: 1"}]}"#)]
#[case::later_in_a_string(r#"{"system":"See x-anthropic-billing-header: 1"}"#)]
#[case::a_tool(r#"{"tools":[BILLING]}"#)]
#[case::a_text_of_a_field(r#"{"messages":[{"content":"\"cache_control\":1","x":"cache_control"}]}"#)]
fn what_engines_read_stays(#[case] body: &str) {
    let body = body.replace("BILLING", BILLING);
    let value: Value = serde_json::from_str(&body).unwrap();
    let all: String = ["tools", "system", "messages"]
        .iter()
        .filter_map(|name| value.get(name))
        .map(|value| {
            let text = value.to_string();
            text[1..text.len() - 1].to_owned()
        })
        .collect();
    assert_eq!(messages_prompt(&body), all);
}

#[test]
fn other_apis_are_not_searched_for_what_is_left_out() {
    let body = format!(r#"{{"messages":[{{"role":"system","content":[{BILLING}],"cache_control":1}}]}}"#);
    let all = body[13..body.len() - 2].to_owned();
    assert_eq!(see(CHAT, &body).2, [all]);
}

#[test]
fn no_more_than_a_few_parts_are_left_out() {
    let tools = vec![r#"{"cache_control":1,"a":1}"#; 5000].join(",");
    let system = vec![format!("{BILLING},1"); 5000].join(",");
    let body = format!(r#"{{"tools":[{tools}],"system":[{system}]}}"#);
    let request = request("/v1/messages", &body).unwrap();
    assert!(request.content.prompt.len() <= 2 * 65, "{}", request.content.prompt.len());
}

/// Wherever a body is cut, its beginning is read: also behind a backslash, and within fields that are left out.
#[test]
fn every_beginning_of_a_request_with_parts_that_are_left_out_is_read() {
    let nested = format!("{}[0]{}", "{\"cache_control\":".repeat(9), "}".repeat(9));
    let system = r#""system":"x-anthropic-billing-header: a\\b\u000ac","#;
    let body = format!("{{\"model\":\"m\",{system}\"messages\":[{{\"role\":\"user\",\"x\":{nested}}}]}}");
    for end in 0..=body.len() {
        let (model, ..) = see_beginning("/v1/messages", &body[..end]);
        assert_eq!(model.is_some(), end > r#"{"model":"m""#.len() - 1, "{end}");
    }
}
