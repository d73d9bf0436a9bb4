use proptest::prelude::*;
use rstest::rstest;

use super::*;

mod grpc;

/// What is read of an answer to a request of `path` that comes in these pieces.
fn read_of<'a>(path: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Tokens> {
    let mut reader = UsageReader::of(path);
    pieces.into_iter().for_each(|piece| reader.see(piece));
    reader.tokens()
}

/// The same of any JSON but SGLang's own.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Tokens> {
    read_of("/v1/chat/completions", pieces)
}

fn whole(answer: &str) -> Option<Tokens> {
    read([answer.as_bytes()])
}

fn tokens(prompt: u32, cached: u32, completion: u32) -> Option<Tokens> {
    Some(Tokens { prompt, cached, completion, reasoning: 0 })
}

fn reasoned(prompt: u32, cached: u32, completion: u32, reasoning: u32) -> Option<Tokens> {
    Some(Tokens { prompt, cached, completion, reasoning })
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
#[case::responses(RESPONSES, reasoned(75, 32, 125, 64))]
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
#[case::reasoning(
    r#"{"usage":{"prompt_tokens":9,"completion_tokens":40,"total_tokens":49,"completion_tokens_details":
        {"accepted_prediction_tokens":0,"audio_tokens":null,"reasoning_tokens":31},"prompt_tokens_details":{"cached_tokens":8}}}"#,
    reasoned(9, 8, 40, 31)
)]
#[case::reasoning_of_sglang(
    r#"{"usage":{"prompt_tokens":9,"total_tokens":49,"completion_tokens":40,"prompt_tokens_details":null,"reasoning_tokens":31}}"#,
    reasoned(9, 0, 40, 31)
)]
#[case::reasoning_of_the_prompt_and_what_is_cached_of_the_answer_are_none(
    r#"{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"reasoning_tokens":3},"completion_tokens_details":{"cached_tokens":2}}}"#,
    tokens(9, 0, 0)
)]
#[case::embeddings(
    r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
    tokens(8, 0, 0)
)]
#[case::rerank(
    r#"{"id":"r","results":[{"index":0,"relevance_score":0.9}],"usage":{"total_tokens":56}}"#,
    tokens(56, 0, 0)
)]
#[case::rerank_of_vllm(
    r#"{"id":"rerank-1","model":"m","usage":{"prompt_tokens":56,"total_tokens":56},"results":[]}"#,
    tokens(56, 0, 0)
)]
#[case::score_of_vllm(
    r#"{"id":"score-1","object":"list","data":[{"index":0,"object":"score","score":0.7}],"usage":
        {"prompt_tokens":20,"total_tokens":20,"completion_tokens":0,"prompt_tokens_details":null}}"#,
    tokens(20, 0, 0)
)]
#[case::a_total_beside_the_answer(r#"{"usage":{"total_tokens":56,"completion_tokens":6}}"#, tokens(50, 0, 6))]
#[case::a_total_that_is_less(r#"{"usage":{"total_tokens":5,"completion_tokens":6}}"#, tokens(0, 0, 6))]
#[case::transcription(
    r#"{"text":"Hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},
        "output_tokens":45,"total_tokens":59}}"#,
    tokens(14, 0, 45)
)]
#[case::transcription_by_time(r#"{"text":"Hi","usage":{"type":"duration","seconds":9}}"#, None)]
#[case::transcription_events(
    "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hi\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"Hi\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"input_token_details\":{\"cached_tokens\":3},\"output_tokens\":4,\"total_tokens\":18}}\n\n",
    tokens(14, 3, 4)
)]
#[case::image(
    r#"{"created":1,"data":[{"b64_json":"aGk="}],"usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,
        "input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#,
    tokens(50, 0, 50)
)]
#[case::not_of_this_dialect(r#"{"text":"a","meta_info":{"prompt_tokens":5,"completion_tokens":2}}"#, None)]
#[case::nested_key(r#"{"usage":{"usage":{"prompt_tokens":1},"completion_tokens":2}}"#, tokens(0, 0, 2))]
fn what_an_answer_says(#[case] answer: &str, #[case] said: Option<Tokens>) {
    assert_eq!(whole(answer), said);
    for cut in 0..=answer.len() {
        let (first, rest) = answer.as_bytes().split_at(cut);
        assert_eq!(read([first, rest]), said, "cut at {cut}");
    }
    assert_eq!(read(answer.as_bytes().chunks(1)), said);
}

const GENERATE: &str = r#"{"text":" Paris.","output_ids":[12366,13],"meta_info":{"id":"5","finish_reason":{"type":"length","length":2},
    "prompt_tokens":5,"weight_version":"default","input_token_logprobs":[[-1.5,3,null],[-0.25,4,"\"meta_info\":{"]],
    "completion_tokens":2,"cached_tokens":1,"reasoning_tokens":1,"e2e_latency":0.5}}"#;
const GENERATE_STREAM: &str = concat!(
    "data: {\"text\": \" P\", \"meta_info\": {\"prompt_tokens\": 5, \"completion_tokens\": 1, \"cached_tokens\": 1}}\n\n",
    "data: {\"text\": \" Pa\", \"meta_info\": {\"prompt_tokens\": 5, \"completion_tokens\": 2, \"cached_tokens\": 1}}\n\n",
    "data: [DONE]\n\n",
);
const GENERATE_BATCH: &str = r#" [{"text":"a","meta_info":{"prompt_tokens":5,"completion_tokens":2,"cached_tokens":1}},
    {"text":"b","meta_info":{"prompt_tokens":7,"completion_tokens":4}}]"#;

#[rstest]
#[case::whole(GENERATE, reasoned(5, 1, 2, 1))]
#[case::stream(GENERATE_STREAM, tokens(5, 1, 2))]
#[case::batch(GENERATE_BATCH, tokens(12, 1, 6))]
#[case::another_api(CHAT, None)]
#[case::nothing("[]", None)]
fn what_an_answer_of_sglangs_own_api_says(#[case] answer: &str, #[case] said: Option<Tokens>) {
    for cut in 0..=answer.len() {
        let (first, rest) = answer.as_bytes().split_at(cut);
        assert_eq!(read_of("/generate", [first, rest]), said, "cut at {cut}");
    }
    assert_eq!(read_of("/generate", answer.as_bytes().chunks(1)), said);
}

#[test]
fn probabilities_may_stand_before_the_counts() {
    let logprobs = "[-1.5,3,null],".repeat(20_000);
    let answer = format!(r#"{{"meta_info":{{"input_token_logprobs":[{logprobs}0],"completion_tokens":2}}}}"#);
    assert_eq!(read_of("/generate", answer.as_bytes().chunks(1000)), tokens(0, 0, 2));
    assert_eq!(whole(&answer.replace("meta_info", "usage")), None);
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

/// Parts that mean something to the reader, in any order.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    let words: [&[u8]; 26] = [
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
        b"\"meta_info\":{",
        b"\"completion_tokens_details\":{\"reasoning_tokens\":2}",
        b"\"total_tokens\":9",
        b"\"cached_tokens\":4",
        b"\"usage\":{",
        b"\"usage\":{\"input_tokens\":5",
        b"\n",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn it_does_not_matter_where_an_answer_is_cut(
        answer in parts(), mut cuts in prop::collection::vec(0_usize..400, 0..8), sglang: bool,
    ) {
        let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            read_of(if sglang { "/generate" } else { "/v1/responses" }, pieces)
        };
        let said = read(&mut [&answer[..]].into_iter());
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(answer.len()));
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([answer.len()]);
        let mut pieces = ends.scan(0, |from, to| Some(&answer[std::mem::replace(from, to)..to]));
        prop_assert_eq!(read(&mut pieces), said);
        prop_assert_eq!(read(&mut answer.chunks(1)), said);
    }

    #[test]
    fn json_says_what_it_says(numbers: [u32; 4], text: String, pretty: bool, size in 1_usize..300) {
        // Those that are believed.
        let [prompt, cached, completion, reasoning] = numbers.map(|number| number % 16_777_217);
        let answer = serde_json::json!({
            "choices": [{"message": {"content": text}}, {"text": format!("\"usage\":{{\"prompt_tokens\":{prompt}}}{text}\"usage")}],
            "usage": {
                text.clone(): {"prompt_tokens": text.clone()},
                "completion_tokens": completion,
                "prompt_tokens": prompt,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": null},
            },
        });
        let answer = if pretty { serde_json::to_vec_pretty(&answer) } else { serde_json::to_vec(&answer) }.unwrap();
        prop_assert_eq!(read(answer.chunks(size)), reasoned(prompt, cached, completion, reasoning));
    }

    #[test]
    fn any_bytes_are_harmless(bytes: Vec<u8>, size in 1_usize..9) {
        let answer = [b"\"usage\":{".as_slice(), &bytes].concat();
        prop_assert_eq!(read(answer.chunks(size)), read([&answer[..]]));
    }
}
