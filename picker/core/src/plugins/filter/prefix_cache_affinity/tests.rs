use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::config::Scope;
use crate::endpoint::Load;
use crate::needs::Needs;
use crate::store::StateStore;
use crate::testing::{Instance, build, request, strategy, unknown};
use crate::view::View;

const KIND: &str = "prefix-cache-affinity-filter";

fn filter(parameters: Value, found: PrefixMatch) -> Instance {
    Instance::new(KIND, parameters).unwrap().knowing(found)
}

fn found(blocks: u64, matched: &[u32]) -> PrefixMatch {
    PrefixMatch { hashes: (0..blocks).collect(), block_tokens: 64, matched: matched.into() }
}

/// Endpoints that have so many tokens under way.
fn busy(tokens: &[u64]) -> View {
    let view = unknown(tokens.len());
    for (endpoint, &tokens) in view.endpoints.iter().zip(tokens) {
        endpoint.live().add(Load { requests: 1, tokens });
    }
    view
}

#[rstest]
#[case::most_of_it(json!({}), &[10, 8, 7, 0], &[0, 1])]
#[case::another_threshold(json!({"affinityThreshold": 0.7}), &[10, 8, 7, 6], &[0, 1, 2])]
#[case::all_of_it(json!({"affinityThreshold": 1}), &[10, 9, 10, 0], &[0, 2])]
#[case::nobody(json!({}), &[7, 7, 0, 1], &[0, 1, 2, 3])]
#[case::everybody(json!({}), &[8, 9, 10, 8], &[0, 1, 2, 3])]
#[case::nothing_is_known(json!({}), &[], &[0, 1, 2, 3])]
#[case::no_threshold(json!({"affinityThreshold": 0}), &[10, 0, 0, 0], &[0, 1, 2, 3])]
#[case::no_limit_of_time(json!({"maxTTFTPenaltyMs": 0}), &[10, 0, 0, 0], &[0])]
#[case::a_throughput_that_is_not_used(
    json!({"maxTTFTPenaltyMs": 0, "peakPrefillThroughput": 0}),
    &[10, 0, 0, 0],
    &[0]
)]
fn servers_with_the_prompt_are_kept(
    #[case] parameters: Value,
    #[case] matched: &[u32],
    #[case] expected: &[usize],
) {
    let mut filter = filter(parameters, found(10, matched));
    assert_eq!(filter.kept(&request("m", ""), &unknown(4)), expected);
}

#[rstest]
// 18 seconds at 15,928 tokens per second are 286,704 tokens.
#[case::as_long_as_may_be(json!({}), &[286_704, 0, 0], &[0])]
#[case::longer(json!({}), &[286_705, 0, 0], &[0, 1, 2])]
#[case::the_best_of_each_count(json!({}), &[286_710, 5, 500_000], &[0, 1, 2])]
#[case::than_the_best_of_the_others(json!({}), &[286_710, 6, 7], &[0])]
#[case::own_limits(json!({"maxTTFTPenaltyMs": 500, "peakPrefillThroughput": 1000}), &[501, 0, 0], &[0, 1, 2])]
#[case::within_own_limits(json!({"maxTTFTPenaltyMs": 500, "peakPrefillThroughput": 1000}), &[500, 0, 0], &[0])]
#[case::no_limit(json!({"maxTTFTPenaltyMs": 0}), &[u64::MAX, 0, 0], &[0])]
fn one_that_would_take_much_longer_does_not_keep_it(
    #[case] parameters: Value,
    #[case] tokens: &[u64],
    #[case] expected: &[usize],
) {
    let mut filter = filter(parameters, found(10, &[10, 0, 7]));
    assert_eq!(filter.kept(&request("m", ""), &busy(tokens)), expected);
}

#[test]
fn of_several_with_the_prompt_the_best_counts_and_all_are_kept() {
    let mut filter = filter(json!({}), found(10, &[10, 10, 0]));
    assert_eq!(filter.kept(&request("m", ""), &busy(&[u64::MAX, 100, 0])), [0, 1]);
}

#[test]
fn one_candidate_stays() {
    let view = unknown(2);
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| i == 1);
    let kept = filter(json!({}), found(10, &[10, 0])).kept_of(&request("m", ""), &view, candidates);
    assert_eq!(kept, [1]);
}

#[test]
fn some_requests_may_go_anywhere() {
    let explored = |probability: f64| {
        let mut filter = filter(json!({"explorationProbability": probability}), found(10, &[10, 0]));
        (0..1000).filter(|_| filter.kept(&request("m", ""), &unknown(2)).len() == 2).count()
    };
    let quarter = explored(0.25);
    assert!((200..300).contains(&quarter), "{quarter}");
    assert_eq!([explored(0.0), explored(1.0)], [0, 1000]);
}

#[rstest]
#[case(json!({"affinityThreshold": 1.1}), "affinityThreshold: must lie between 0 and 1")]
#[case(json!({"explorationProbability": -0.1}), "explorationProbability: must lie between 0 and 1")]
#[case(json!({"maxTTFTPenaltyMs": -1}), "maxTTFTPenaltyMs: must be at least 0")]
#[case(json!({"peakPrefillThroughput": 0}), "peakPrefillThroughput: must be more than 0")]
#[case(json!({"maxTTFTPenaltyMs": 0, "peakPrefillThroughput": -1}), "peakPrefillThroughput: must be more than 0")]
#[case(
    json!({"ttftSource": "latencyPredictor"}),
    "ttftSource: latencyPredictor needs predicted latencies, which this picker does not have yet; write prefillThroughput"
)]
#[case(
    json!({"ttftSource": "clock"}),
    "ttftSource: unknown variant `clock`, expected `prefillThroughput` or `latencyPredictor`"
)]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] expected: &str) {
    let error = build(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{expected}")));
}

#[test]
fn the_producer_of_predictions_is_not_asked() {
    let routing = json!({"plugins": [
        {"type": KIND, "parameters": {"latencyPredictionInfoProducerName": "latency"}}, {"type": "queue-scorer"},
    ]});
    let compiled = crate::compile::compile(&routing, Scope::File, &StateStore::default()).unwrap();
    let warnings: Vec<_> = compiled.strategy.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "plugins[0].parameters.latencyPredictionInfoProducerName: has no effect with prefillThroughput; leave it out"
        ]
    );
}

#[test]
fn tokens_are_counted_only_for_a_limit_of_time() {
    let producers = |limit: u32| {
        let strategy =
            strategy(&format!("plugins: [{{type: {KIND}, parameters: {{maxTTFTPenaltyMs: {limit}}}}}]"));
        let names: Vec<_> = strategy.producers.iter().map(|p| p.producer.name.to_string()).collect();
        (names, strategy.needs.has(Needs::BODY))
    };
    assert_eq!(producers(0), (vec!["approx-prefix-cache-producer".to_owned()], true));
    let both = ["approx-prefix-cache-producer", "inflight-load-producer"].map(str::to_owned);
    assert_eq!(producers(1), (both.into(), true));
}
