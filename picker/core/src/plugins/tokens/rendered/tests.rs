use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fact::Layout;

fn reader() -> Rendered {
    Rendered::new(Layout::default().add())
}

fn tokens(answer: &str) -> Option<PromptTokens> {
    let mut reader = reader();
    answer.as_bytes().chunks(7).for_each(|piece| reader.feed(piece));
    reader.tokens()
}

fn bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// As vLLM 0.32 answers (`vllm/entrypoints/scale_out/token_in_token_out/protocol.py`).
#[test]
fn tokens_of_a_chat_with_images() {
    let pixels = "A".repeat(100_000);
    let answer = json!({
        "request_id": "chatcmpl-1", "token_ids": [151_644, 872, 7, 7, 7, 9, 7, 7, 3], "token_offsets": null,
        "features": {
            "mm_hashes": {"image": ["second", "first"], "audio": [null, ""], "video": ["unplaced"]},
            "mm_placeholders": {"image": [{"offset": 6, "length": 2}, {"offset": 2, "length": 3, "is_embed": null}],
                "audio": [{"offset": 0, "length": 1}, {"offset": 0, "length": 1}]},
            "kwargs_data": {"image": [pixels, null]},
        },
        "sampling_params": {"temperature": 0.7}, "model": "m", "stream": false,
    });
    let (first, second) = (xxh3_64(b"first"), xxh3_64(b"second"));
    let (one, two) = (first as u32, second as u32);
    let image = |hash, tokens| MediaItem { kind: MediaKind::Image, hash, tokens };
    let expected = PromptTokens {
        count: Some(9),
        bytes: bytes(&[151_644, 872, one, one, one, 9, two, two, 3]),
        media: vec![image(first, 3), image(second, 2)],
        exact: true,
    };
    assert_eq!(tokens(&answer.to_string()), Some(expected));
    let mut reader = reader();
    reader.feed(answer.to_string().as_bytes());
    assert!(reader.held() < 5000, "{}", reader.held());
}

#[test]
fn tokens_of_several_prompts() {
    let answer = json!([{"token_ids": [1, 2]}, {"token_ids": [3], "features": null}]);
    let expected = PromptTokens { count: Some(3), bytes: bytes(&[1, 2, 3]), media: vec![], exact: true };
    assert_eq!(tokens(&answer.to_string()), Some(expected));
}

#[test]
fn what_says_no_tokens_says_nothing() {
    for answer in [
        "",
        "null",
        "[]",
        "{}",
        "<html>",
        r#"{"token_ids":[]}"#,
        r#"{"token_ids":null}"#,
        r#"{"token_ids":[-1]}"#,
        r#"{"token_ids":[1.5]}"#,
        r#"{"token_ids":["1"]}"#,
        r#"{"token_ids":[4294967296]}"#,
        r#"{"token_ids":[1,2"#,
        r#"{"error":{"message":"The model does not exist."}}"#,
    ] {
        assert_eq!(tokens(answer), None, "{answer}");
    }
}

#[test]
fn places_beyond_the_prompt_are_none() {
    let answer = json!({"token_ids": [1, 2], "features": {
        "mm_hashes": {"image": ["a", "b"]},
        "mm_placeholders": {"image": [{"offset": 1, "length": usize::MAX}, {"offset": usize::MAX, "length": usize::MAX}]},
    }});
    let tokens = tokens(&answer.to_string()).unwrap();
    assert_eq!((tokens.count, tokens.bytes), (Some(2), bytes(&[1, xxh3_64(b"a") as u32])));
    assert_eq!(tokens.media.iter().map(|item| item.tokens).collect::<Vec<_>>(), [1]);
}

/// Each of many would be written over the whole prompt.
#[test]
fn places_that_overlap_are_none_of_a_prompt() {
    let places =
        [(0, 3), (1, 3), (2, 1), (3, 1)].map(|(offset, length)| json!({"offset": offset, "length": length}));
    let answer = json!({"token_ids": [1, 2, 3, 4, 5], "features": {
        "mm_hashes": {"image": ["a", "b", "c", "d"]}, "mm_placeholders": {"image": places},
    }});
    let tokens = tokens(&answer.to_string()).unwrap();
    let [a, d] = [b"a", b"d"].map(|hash| xxh3_64(hash) as u32);
    assert_eq!((tokens.media.len(), tokens.bytes), (2, bytes(&[a, a, a, d, 5])));
}

proptest! {
    /// Whatever the pieces, the value stays, but for strings that are too long.
    #[test]
    fn long_strings_are_left_out_and_nothing_else(
        texts in prop::collection::vec("[a-z\"\\\\\n/é]{0,400}", 0..6), numbers in prop::collection::vec(any::<u32>(), 0..20),
        size in 1..40_usize,
    ) {
        let answer = json!({"token_ids": numbers, "a": texts, "b": {"c\"d": null}});
        let mut reader = reader();
        answer.to_string().as_bytes().chunks(size).for_each(|piece| reader.feed(piece));
        let kept = |text: &String| if json!(text).to_string().len() - 2 > LONGEST { String::new() } else { text.clone() };
        let texts: Vec<_> = texts.iter().map(kept).collect();
        let expected = json!({"token_ids": numbers, "a": texts, "b": {"c\"d": null}});
        prop_assert_eq!(serde_json::from_slice::<Value>(&reader.text).unwrap(), expected);
    }
}
