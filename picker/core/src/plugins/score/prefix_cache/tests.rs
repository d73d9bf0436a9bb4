use rstest::rstest;
use serde_json::{Value, json};

use crate::fact::PrefixMatch;
use crate::request::Request;
use crate::testing::{Instance, unknown};
use crate::view::View;

fn scores(parameters: Value, view: &View, found: PrefixMatch) -> Vec<f32> {
    let scorer = Instance::new("prefix-cache-scorer", parameters).unwrap().knowing(found);
    scorer.scores(&Request::default(), view)
}

fn found(blocks: u64, matched: &[u32]) -> PrefixMatch {
    PrefixMatch { hashes: (0..blocks).collect(), block_tokens: 64, matched: matched.into() }
}

#[rstest]
#[case::share_of_the_prompt(json!({}), &[1.0, 0.5, 0.125, 0.0])]
// 8, 4, 1 and 0 blocks of 64 tokens are 1, 1/2, 1/8 and 0 of 512 tokens.
#[case::length(json!({"matchLengthWeight": 1, "matchLengthScaleTokens": 512}), &[1.0, 0.25, 0.015_625, 0.0])]
#[case::length_above_the_scale(json!({"matchLengthWeight": 1, "matchLengthScaleTokens": 128}), &[1.0, 1.0, 0.25, 0.0])]
#[case::both(json!({"matchLengthWeight": 0.5, "matchLengthScaleTokens": 512}), &[1.0, 0.375, 0.070_312_5, 0.0])]
#[case::default_scale(json!({"matchLengthWeight": 0.5}), &[0.501_953_1, 0.250_488_3, 0.062_530_52, 0.0])]
fn scores_by_what_is_matched(#[case] parameters: Value, #[case] expected: &[f32]) {
    let scores = scores(parameters, &unknown(4), found(8, &[8, 4, 1, 0]));
    let close = scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close && scores.len() == expected.len(), "{scores:?} {expected:?}");
}

#[test]
fn nothing_found_scores_0() {
    for found in [PrefixMatch::default(), found(0, &[]), found(8, &[])] {
        assert_eq!(scores(json!({}), &unknown(2), found), [0.0, 0.0]);
    }
}
