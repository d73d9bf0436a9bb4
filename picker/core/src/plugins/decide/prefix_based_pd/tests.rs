use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::ask::ProfileResult;
use crate::testing::{Instance, request, strategy, unknown};

/// What the decider says of a prompt of `bytes` bytes, of which the decode server has `matched` blocks of 64 tokens.
fn decides(parameters: Value, bytes: usize, matched: u32) -> bool {
    decides_of(parameters, bytes, bytes.div_ceil(256), matched)
}

/// The same when only the first `blocks` blocks of the prompt are compared.
fn decides_of(parameters: Value, bytes: usize, blocks: usize, matched: u32) -> bool {
    let found =
        PrefixMatch { hashes: vec![1; blocks], block_tokens: 64, matched: vec![blocks as u32, matched] };
    let instance = Instance::new(PrefixBasedPdDecider::TYPE, parameters).unwrap().knowing(found);
    let (request, view) = (request("m", &"x".repeat(bytes)), unknown(2));
    let decode = [ProfileResult { profile: 0, picked: Some(smallvec::smallvec![1]) }];
    instance.roles.decider.as_ref().unwrap().decide(&instance.ask(&request, &view, &decode))
}

#[rstest]
#[case::never(json!({}), 40_000, 0, false)]
#[case::cold_and_long(json!({"nonCachedTokens": 100}), 400, 0, true)]
#[case::cold_and_one_byte_short(json!({"nonCachedTokens": 100}), 396, 0, false)]
#[case::a_block_is_not_filled(json!({"nonCachedTokens": 16}), 40, 0, false)]
#[case::enough_is_missing(json!({"nonCachedTokens": 512}), 4096, 8, true)]
#[case::a_block_less_is_missing(json!({"nonCachedTokens": 512}), 4096, 9, false)]
#[case::all_is_there(json!({"nonCachedTokens": 1}), 4000, 16, false)]
#[case::short_prompt(json!({"nonCachedTokens": 100, "promptTokens": 1025}), 4096, 0, false)]
#[case::prompt_just_long_enough(json!({"nonCachedTokens": 100, "promptTokens": 1024}), 4096, 0, true)]
#[case::nothing_known(json!({"nonCachedTokens": 1}), 0, 0, false)]
fn says_yes_when_enough_of_the_prompt_is_missing(
    #[case] parameters: Value,
    #[case] bytes: usize,
    #[case] matched: u32,
    #[case] expected: bool,
) {
    assert_eq!(decides(parameters, bytes, matched), expected);
}

#[rstest]
// 100,000 tokens, of which 4096 are compared.
#[case::far_more_is_missing(json!({"nonCachedTokens": 512}), 400_000, 64, 64, true)]
#[case::just_enough_is_missing(json!({"nonCachedTokens": 95_904}), 400_000, 64, 64, true)]
#[case::a_token_less_is_missing(json!({"nonCachedTokens": 95_905}), 400_000, 64, 64, false)]
#[case::long_enough(json!({"nonCachedTokens": 1, "promptTokens": 100_000}), 400_000, 64, 64, true)]
#[case::not_long_enough(json!({"nonCachedTokens": 1, "promptTokens": 100_001}), 400_000, 64, 64, false)]
// A producer that knows tokens counts more of them than the bytes let expect: 100 blocks of 64.
#[case::more_tokens_than_expected(json!({"nonCachedTokens": 6000}), 4000, 100, 0, true)]
#[case::of_which_the_last_block_may_have_one(json!({"nonCachedTokens": 6338}), 4000, 100, 0, false)]
fn what_is_not_compared_is_missing(
    #[case] parameters: Value,
    #[case] bytes: usize,
    #[case] blocks: usize,
    #[case] matched: u32,
    #[case] expected: bool,
) {
    assert_eq!(decides_of(parameters, bytes, blocks, matched), expected);
}

#[test]
fn a_long_prompt_whose_beginning_is_cached_goes_to_a_prefill_server() {
    let sample = PrefixBasedPdDecider::SAMPLE.replace(
        "plugins:\n- type: prefix-based-pd-decider",
        "plugins:\n- type: approx-prefix-cache-producer\n  parameters: {maxPrefixTokensToMatch: 4096}\n\
         - type: prefix-based-pd-decider",
    );
    let strategy = strategy(&sample);
    let (decode, prefill): (&[_], &[_]) = (&[("llm-d.ai/role", "decode")], &[("llm-d.ai/role", "prefill")]);
    let view = crate::testing::labelled([decode, prefill]);
    let [long, short] = [400_000, 16_000].map(|bytes| request("m", &"x".repeat(bytes)));
    let prefilled = |request: &Request| {
        let mut cx = crate::Cx::new(std::time::Instant::now(), 1);
        !strategy.route(request, &view, None, &mut cx).unwrap().edits().headers().is_empty()
    };
    assert_eq!([&long, &long, &short].map(prefilled), [true, true, false]);
}

#[test]
fn says_no_without_a_decode_server() {
    let found = PrefixMatch { hashes: vec![1; 100], block_tokens: 64, matched: vec![0] };
    let instance =
        Instance::new(PrefixBasedPdDecider::TYPE, json!({"nonCachedTokens": 1})).unwrap().knowing(found);
    let (request, view) = (request("m", &"x".repeat(25_600)), unknown(1));
    let decides = |done: &[ProfileResult]| {
        instance.roles.decider.as_ref().unwrap().decide(&instance.ask(&request, &view, done))
    };
    let result =
        |picked: Option<u32>| [ProfileResult { profile: 0, picked: picked.map(|p| smallvec::smallvec![p]) }];
    assert_eq!([decides(&[]), decides(&result(None)), decides(&result(Some(0)))], [false, false, true]);
}

#[test]
fn warns_of_a_threshold_that_is_never_reached() {
    let warned = strategy(&PrefixBasedPdDecider::SAMPLE.replace("512", "0")).warnings.to_vec();
    let warned: Vec<_> = warned.iter().map(ToString::to_string).collect();
    let expected = "plugins[0].parameters.nonCachedTokens: is 0, so that no prompt is ever given to a prefill server; set \
                    a number of tokens";
    assert_eq!(warned, [expected]);
}

#[test]
fn tokens_that_were_counted_count() {
    for (count, threshold, expected) in [(120, 120, true), (120, 121, false)] {
        let parameters = json!({"nonCachedTokens": threshold});
        // 1000 tokens by its bytes, and 128 by its blocks.
        let found = PrefixMatch { hashes: vec![1, 2], block_tokens: 64, matched: vec![0] };
        let tokens = PromptTokens { count: Some(count), exact: true, ..PromptTokens::default() };
        let instance =
            Instance::new(PrefixBasedPdDecider::TYPE, parameters).unwrap().knowing(found).knowing(tokens);
        let decode = [ProfileResult { profile: 0, picked: Some([0].into_iter().collect()) }];
        let (request, view) = (request("m", &"x".repeat(4000)), unknown(1));
        assert_eq!(
            instance.roles.decider.as_ref().unwrap().decide(&instance.ask(&request, &view, &decode)),
            expected
        );
    }
}
