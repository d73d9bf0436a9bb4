use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::metrics::Metrics;
use crate::view;

/// What is read of an answer that comes in these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Tokens> {
    let mut reader = UsageReader::default();
    pieces.into_iter().for_each(|piece| reader.see(piece));
    reader.tokens()
}

fn whole(answer: &str) -> Option<Tokens> {
    read([answer.as_bytes()])
}

fn tokens(prompt: u32, cached: u32, completion: u32) -> Option<Tokens> {
    Some(Tokens { prompt, cached, completion })
}

const CHAT: &str = r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}],
    "usage" : {"prompt_tokens": 120, "total_tokens": 150, "completion_tokens": 30 ,
    "prompt_tokens_details": {"audio_tokens": 3, "cached_tokens": 96}, "completion_tokens_details": null}}"#;
const SHORT: &str = r#"{"object":"text_completion","choices":[{"text":"a"}],"usage":{"prompt_tokens":5,"total_tokens":7,"completion_tokens":2,"prompt_tokens_details":null},"kv_transfer_params":null}"#;
const STREAM: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"usage\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":2,\"total_tokens\":13}}\n\n",
    "data: [DONE]\n\n",
);
const EVERY_CHUNK: &str = concat!(
    "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":1}}\n\n",
    "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":2}}\n\n",
);
const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"response\":{\"usage\":null}}\n\nevent: response.completed\n",
    "data: {\"response\":{\"tools\":[{\"parameters\":{\"properties\":{\"usage\":{\"type\":\"object\",",
    "\"properties\":{\"input_tokens\":{\"type\":\"integer\"}}}}}}],",
    "\"usage\":{\"input_tokens\":75,\"input_tokens_details\":{\"cached_tokens\":32},",
    "\"output_tokens\":125,\"output_tokens_details\":{\"reasoning_tokens\":64},\"total_tokens\":200}}}\n\n",
);
const MESSAGES: &str = concat!(
    "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":16,",
    "\"cache_creation\":{\"input_tokens\":1},\"output_tokens\":1}}}\n\n",
    "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n",
);

/// Events of a real vLLM 0.32, without the text between.
const MESSAGES_OF_VLLM: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"chatcmpl-b471c7523358bdb9\",\"type\":",
    "\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"tiny\",\"stop_reason\":null,\"stop_sequence\":null,",
    "\"usage\":{\"input_tokens\":100,\"output_tokens\":0}}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},",
    "\"usage\":{\"input_tokens\":4,\"output_tokens\":4,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":96}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);
const RESPONSES_OF_VLLM: &str = concat!(
    "{\"status\":\"incomplete\",\"usage\":{\"input_tokens\":91,\"input_tokens_details\":{\"cached_tokens\":64,",
    "\"cache_write_tokens\":0,\"input_tokens_per_turn\":[],\"cached_tokens_per_turn\":[]},\"output_tokens\":8,",
    "\"output_tokens_details\":{\"reasoning_tokens\":0,\"tool_output_tokens\":0,\"output_tokens_per_turn\":[],",
    "\"tool_output_tokens_per_turn\":[]},\"total_tokens\":99},\"user\":null}",
);

#[rstest]
#[case::chat(CHAT, tokens(120, 96, 30))]
#[case::text(SHORT, tokens(5, 0, 2))]
#[case::stream(STREAM, tokens(11, 0, 2))]
#[case::every_chunk(EVERY_CHUNK, tokens(11, 0, 2))]
#[case::responses(RESPONSES, tokens(75, 32, 125))]
#[case::messages(MESSAGES, tokens(41, 16, 15))]
#[case::messages_of_vllm(MESSAGES_OF_VLLM, tokens(100, 96, 4))]
#[case::messages_cut(MESSAGES_OF_VLLM.split_once("event: message_delta").unwrap().0, tokens(100, 0, 0))]
#[case::messages_in_json(
    r#"{"type":"message","usage":{"input_tokens":4,"output_tokens":8,"cache_creation_input_tokens":20,"cache_read_input_tokens":96}}"#,
    tokens(120, 96, 8)
)]
#[case::messages_without_cache(
    r#"{"usage":{"input_tokens":4,"output_tokens":8,"cache_creation_input_tokens":null,"cache_read_input_tokens":null}}"#,
    tokens(4, 0, 8)
)]
#[case::all_from_the_cache(
    r#"{"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":96,"output_tokens":1}}"#,
    tokens(96, 96, 1)
)]
#[case::both_dialects(
    r#"{"usage":{"prompt_tokens":120,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":96},
        "cache_creation_input_tokens":20,"cache_read_input_tokens":96}}"#,
    tokens(120, 96, 8)
)]
#[case::responses_of_vllm(RESPONSES_OF_VLLM, tokens(91, 64, 8))]
#[case::largest(
    r#"{"usage":{"input_tokens":16777216,"cache_creation_input_tokens":16777216,"cache_read_input_tokens":16777216}}"#,
    tokens(50_331_648, 16_777_216, 0)
)]
#[case::nothing("", None)]
#[case::null(r#"{"usage":null}"#, None)]
#[case::a_value(r#"{"a":"usage","prompt_tokens":1}"#, None)]
#[case::a_list(r#"{"usage":[{"prompt_tokens":1}]}"#, None)]
#[case::another_key(r#"{"usages":{"prompt_tokens":1}}"#, None)]
#[case::the_end_of_a_text(r#"{"a \"usage":{"prompt_tokens":1}}"#, None)]
#[case::cut_off(r#"{"usage":{"prompt_tokens":1"#, None)]
#[case::in_a_string(
    r#"{"usage":{"a":"}\",\"prompt_tokens\":1,","b":"\\","prompt_tokens":2}}"#,
    tokens(2, 0, 0)
)]
#[case::elsewhere(
    r#"{"usage":{"a":{"prompt_tokens":1,"cached_tokens":2},"completion_tokens":3}}"#,
    tokens(0, 0, 3)
)]
#[case::deeper(
    r#"{"usage":{"prompt_tokens_details":{"a":{"cached_tokens":2}},"prompt_tokens":3}}"#,
    tokens(3, 0, 0)
)]
#[case::a_key_of_details(
    r#"{"usage":{"prompt_tokens_details":[{"cached_tokens":2}],"prompt_tokens":3}}"#,
    tokens(3, 0, 0)
)]
#[case::no_numbers(
    r#"{"usage":{"prompt_tokens":-1,"completion_tokens":1.5,"cache_read_input_tokens":"7","x":1}}"#,
    None
)]
#[case::exponent(r#"{"usage":{"prompt_tokens":1e9,"completion_tokens":true,"input_tokens":null}}"#, None)]
#[case::too_large(
    r#"{"usage":{"prompt_tokens":18446744073709551616,"cache_read_input_tokens":16777217,"cache_creation_input_tokens":16777217,"completion_tokens":16777216}}"#,
    tokens(0, 0, 16_777_216)
)]
#[case::nested_key(r#"{"usage":{"usage":{"prompt_tokens":1},"completion_tokens":2}}"#, tokens(0, 0, 2))]
fn what_an_answer_says(#[case] answer: &str, #[case] said: Option<Tokens>) {
    assert_eq!(whole(answer), said);
    for cut in 0..=answer.len() {
        let (first, rest) = answer.as_bytes().split_at(cut);
        assert_eq!(read([first, rest]), said, "cut at {cut}");
    }
    assert_eq!(read(answer.as_bytes().chunks(1)), said);
}

#[test]
fn an_object_that_is_too_long_is_none_and_a_later_one_is_found() {
    let filled = |bytes: usize| format!(r#"{{"usage":{{"prompt_tokens":1,"a":"{}"}}}}"#, "x".repeat(bytes));
    assert_eq!(whole(&filled(4000)), tokens(1, 0, 0));
    assert_eq!(whole(&filled(5000)), None);
    let later = format!("{}{}", filled(1 << 20), r#"{"usage":{"prompt_tokens":2}}"#);
    assert_eq!(whole(&later), tokens(2, 0, 0));
    let deep = format!(r#"{{"usage":{}"#, r#"{"usage":"#.repeat(100_000));
    assert_eq!(whole(&deep), None);
    let lists = format!(r#"{{"usage":{{"prompt_tokens":{}{}}}}}"#, "[".repeat(2000), "]".repeat(2000));
    assert_eq!(whole(&lists), None);
}

#[test]
fn between_pieces_little_is_kept() {
    assert!(size_of::<CountedAnswer>() <= 192, "{}", size_of::<CountedAnswer>());
}

#[test]
fn an_answer_that_says_nothing_counts_no_tokens() {
    let metrics = Metrics::new(view::empty());
    let lines = || {
        let text = metrics.text().unwrap();
        text.lines().filter(|line| line.contains("_tokens_total{")).map(str::to_owned).collect::<Vec<_>>()
    };
    let answer = || {
        let mut answer = CountedAnswer::new(metrics.traffic.requests.routed(Some("m")));
        answer.head(Some(200), false);
        answer
    };
    let mut silent = answer();
    silent.see(br#"{"usage":null}"#);
    drop(silent);
    let mut telling = answer();
    telling.see(CHAT.as_bytes());
    assert_eq!(lines(), Vec::<String>::new());
    drop(telling);
    let line = |(name, sum)| format!("waypost_picker_{name}_total{{model=\"m\"}} {sum}");
    let counted = [("prompt_tokens", 120), ("cached_prompt_tokens", 96), ("completion_tokens", 30)];
    assert_eq!(lines(), counted.map(line));
}

/// Parts that mean something to the reader, in any order.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    let words: [&[u8]; 22] = [
        b"\"usage\"",
        b"\"usage",
        b"usage\"",
        b"\"",
        b"\\",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b" ",
        b"7",
        b"-",
        b"x",
        b"\"prompt_tokens\":",
        b"\"output_tokens\":12",
        b"\"prompt_tokens_details\":{\"cached_tokens\":3}",
        b"null",
        b"\"usage\":{",
        b"\"usage\":{\"input_tokens\":5",
        b"\n",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn it_does_not_matter_where_an_answer_is_cut(answer in parts(), mut cuts in prop::collection::vec(0_usize..400, 0..8)) {
        let said = read([&answer[..]]);
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(answer.len()));
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([answer.len()]);
        let pieces = ends.scan(0, |from, to| Some(&answer[std::mem::replace(from, to)..to]));
        prop_assert_eq!(read(pieces), said);
        prop_assert_eq!(read(answer.chunks(1)), said);
    }

    #[test]
    fn json_says_what_it_says(numbers: [u32; 3], text: String, pretty: bool, size in 1_usize..300) {
        // Those that are believed.
        let [prompt, cached, completion] = numbers.map(|number| number % 16_777_217);
        let answer = serde_json::json!({
            "choices": [{"message": {"content": text}}, {"text": format!("\"usage\":{{\"prompt_tokens\":{prompt}}}{text}\"usage")}],
            "usage": {
                text.clone(): {"prompt_tokens": text.clone()},
                "completion_tokens": completion,
                "prompt_tokens": prompt,
                "prompt_tokens_details": {"cached_tokens": cached},
            },
        });
        let answer = if pretty { serde_json::to_vec_pretty(&answer) } else { serde_json::to_vec(&answer) }.unwrap();
        prop_assert_eq!(read(answer.chunks(size)), tokens(prompt, cached, completion));
    }

    #[test]
    fn any_bytes_are_harmless(bytes: Vec<u8>, size in 1_usize..9) {
        let answer = [b"\"usage\":{".as_slice(), &bytes].concat();
        prop_assert_eq!(read(answer.chunks(size)), read([&answer[..]]));
    }
}
