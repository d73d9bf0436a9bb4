use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::endpoint::Load;
use crate::fact::PrefixMatch;
use crate::request::Request;
use crate::testing::{Instance, build, strategy, unknown, view};
use crate::view::{Signals, View};

const KIND: &str = "kvcache-aware-scorer";

/// Servers with these KV caches in use, and requests waiting.
fn servers(known: &[(Option<f32>, Option<f32>)]) -> View {
    let signals = |&(kv_usage, waiting)| Signals { kv_usage, waiting, ..Signals::default() };
    view(known.iter().map(signals))
}

/// A prompt of four blocks, of which servers have so many.
fn matched(matched: &[u32]) -> PrefixMatch {
    PrefixMatch { hashes: vec![1, 2, 3, 4], block_tokens: 64, matched: matched.to_vec() }
}

fn scores(parameters: Value, found: PrefixMatch, view: &View) -> Vec<f32> {
    Instance::new(KIND, parameters).unwrap().knowing(found).scores(&Request::default(), view)
}

#[rstest]
#[case::equal_weights(json!({}), &[1.5 / 3.0, 1.75 / 3.0, 1.0 / 3.0])]
#[case::prefix_alone(json!({"xpuCacheUsageWeight": 0, "waitingRequestWeight": 0}), &[0.0, 0.75, 1.0])]
#[case::usage_alone(json!({"kvCacheNotHitRateWeight": 0, "waitingRequestWeight": 0}), &[0.5, 0.75, 0.0])]
#[case::queue_alone(json!({"kvCacheNotHitRateWeight": 0, "xpuCacheUsageWeight": 0}), &[1.0, 0.25, 0.0])]
#[case::weighted(json!({"kvCacheNotHitRateWeight": 2, "xpuCacheUsageWeight": 0}), &[1.0 / 3.0, 1.75 / 3.0, 2.0 / 3.0])]
#[case::former_name(json!({"kvCacheHitNotRateWeight": 2, "xpuCacheUsageWeight": 0}), &[1.0 / 3.0, 1.75 / 3.0, 2.0 / 3.0])]
fn costs_are_weighted(#[case] parameters: Value, #[case] expected: &[f32]) {
    let view = servers(&[(Some(0.5), Some(8.0)), (Some(0.75), Some(2.0)), (Some(0.0), Some(0.0))]);
    assert_eq!(scores(parameters, matched(&[4, 1, 0]), &view), expected);
}

#[test]
fn requests_in_flight_count_if_they_have_a_weight() {
    let view = unknown(3);
    for (i, requests) in [(0, 4), (1, 1)] {
        view.endpoints[i].live().add(Load { requests, tokens: 0 });
    }
    let only = json!({
        "kvCacheNotHitRateWeight": 0, "xpuCacheUsageWeight": 0, "waitingRequestWeight": 0, "inflightWeight": 3,
    });
    assert_eq!(scores(only, PrefixMatch::default(), &view), [1.0, 0.25, 0.0]);
    assert_eq!(scores(json!({}), PrefixMatch::default(), &view), [1.0 / 3.0; 3]);
}

#[test]
fn what_is_unknown_costs_the_mean_of_the_others() {
    let view = servers(&[(Some(0.25), None), (None, Some(0.0)), (Some(0.75), Some(4.0))]);
    // Nothing is known of the prompt: all have to compute it.
    assert_eq!(scores(json!({}), PrefixMatch::default(), &view), [1.75 / 3.0, 1.5 / 3.0, 2.75 / 3.0]);
    assert_eq!(scores(json!({}), matched(&[4, 4]), &unknown(2)), [0.0, 0.0]);
}

#[rstest]
#[case("kvCacheNotHitRateWeight")]
#[case("kvCacheHitNotRateWeight")]
#[case("xpuCacheUsageWeight")]
#[case("waitingRequestWeight")]
#[case("inflightWeight")]
fn a_weight_is_no_less_than_nothing(#[case] field: &str) {
    let error = build(KIND, json!({field: -1})).err().unwrap();
    assert_eq!(error.to_string(), format!("plugins[0].parameters.{field}: must be at least 0"));
}

#[test]
fn one_weight_is_positive() {
    let none = json!({"kvCacheNotHitRateWeight": 0, "xpuCacheUsageWeight": 0, "waitingRequestWeight": 0});
    let error = build(KIND, none).err().unwrap().to_string();
    assert_eq!(error, "plugins[0].parameters: all weights are 0; make one of them positive");
}

/// A configuration of Hermes-router 25.12.
#[test]
fn the_former_configuration_is_taken_with_warnings() {
    let strategy = strategy(
        "
plugins:
- type: scorer-aggregate-kv-cache-aware
  parameters:
    kvCacheHitNotRateWeight: 1.0
    xpuCacheUsageWeight: 1.0
    waitingRequestWeight: 1.0
    kvCacheManagerIP: cache-indexer-service
    kvCacheManagerPort: 8080
    kvCacheManagerPath: /match_sort
    kvCacheManagerTimeout: 5000000000
- type: picker-min-random
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: scorer-aggregate-kv-cache-aware, weight: 1}
  - pluginRef: picker-min-random
",
    );
    let told: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    let field = |name: &str, message: &str| format!("plugins[0].parameters.{name}: {message}");
    let none = "has no effect; take it out";
    assert_eq!(
        told,
        [
            "plugins[0].type: scorer-aggregate-kv-cache-aware is a former name of kvcache-aware-scorer; write that"
                .to_owned(),
            field("kvCacheHitNotRateWeight", "is the former name of kvCacheNotHitRateWeight; write that"),
            field("kvCacheManagerIP", none),
            field("kvCacheManagerPort", none),
            field("kvCacheManagerPath", none),
            field("kvCacheManagerTimeout", none),
            "plugins[1].type: picker-min-random is a former name of min-score-picker; write that".to_owned(),
        ]
    );
}

/// The rule as it is written down, in f64.
fn plain(weights: [f64; 4], servers: &[(Option<f32>, Option<f32>, u32, u32)]) -> Vec<f64> {
    let known = |values: Vec<Option<f64>>| {
        let all: Vec<f64> = values.iter().flatten().copied().collect();
        let mean = if all.is_empty() { 0.0 } else { all.iter().sum::<f64>() / all.len() as f64 };
        values.into_iter().map(|value| value.unwrap_or(mean)).collect::<Vec<_>>()
    };
    let ranked = |values: Vec<Option<f64>>| {
        let least = values.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        known(
            values
                .into_iter()
                .map(|v| v.map(|v| if most > least { (v - least) / (most - least) } else { 0.0 }))
                .collect(),
        )
    };
    let usage = known(servers.iter().map(|s| s.0.map(f64::from)).collect());
    let waiting = ranked(servers.iter().map(|s| s.1.map(f64::from)).collect());
    let in_flight = ranked(servers.iter().map(|s| Some(f64::from(s.3))).collect());
    let cost = |n: usize| {
        let parts = [1.0 - f64::from(servers[n].2) / 4.0, usage[n], waiting[n], in_flight[n]];
        parts.iter().zip(weights).map(|(part, weight)| part * weight).sum::<f64>()
            / weights.iter().sum::<f64>()
    };
    (0..servers.len()).map(cost).collect()
}

proptest! {
    #[test]
    fn agrees_with_the_rule(
        rows in prop::collection::vec(
            (prop::option::of(0.0_f32..1.0), prop::option::of(0.0_f32..500.0), 0..=4_u32, 0..20_u32), 1..12),
        weights in [0.01_f64..4.0, 0.0..4.0, 0.0..4.0, 0.0..4.0],
    ) {
        let known: Vec<_> = rows.iter().map(|row| (row.0, row.1)).collect();
        let view = servers(&known);
        for (endpoint, row) in view.endpoints.iter().zip(&rows) {
            endpoint.live().add(Load { requests: row.3, tokens: 0 });
        }
        let parameters = json!({
            "kvCacheNotHitRateWeight": weights[0], "xpuCacheUsageWeight": weights[1],
            "waitingRequestWeight": weights[2], "inflightWeight": weights[3],
        });
        let found = matched(&rows.iter().map(|row| row.2).collect::<Vec<_>>());
        let scored = scores(parameters, found, &view);
        for (score, expected) in scored.iter().zip(plain(weights, &rows)) {
            prop_assert!((f64::from(*score) - expected).abs() < 1e-5, "{scored:?} {rows:?}");
        }
    }
}
