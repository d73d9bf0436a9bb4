use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::endpoint::{Endpoint, EndpointSpec, Load, Slots};
use crate::plugins::pd_groups::tests::{POOL, fact, pods};
use crate::request::Request;
use crate::testing::{Instance, build, spec, strategy};
use crate::view::{Reading, Signals};

const KIND: &str = "pd-kvcache-aware-scorer";

/// KV cache in use, and requests waiting.
type Known = (Option<f32>, Option<f32>);

/// The pods of [`POOL`], of which this is known.
fn pool(known: [Known; 9]) -> View {
    let (labels, now, mut slots) =
        (pods(&POOL), Instance::new(KIND, json!({})).unwrap().cx.now(), Slots::default());
    let admit = |(n, pod): (u8, &Arc<Endpoint>)| {
        Arc::new(slots.admit(EndpointSpec { labels: pod.labels.clone(), ..spec(n) }))
    };
    let endpoints: Vec<_> = (0..).zip(&*labels.endpoints).map(admit).collect();
    let rows = endpoints.into_iter().zip(known).map(|(endpoint, (kv_usage, waiting))| {
        (endpoint, Reading { signals: Signals { kv_usage, waiting, ..Signals::default() }, at: Some(now) })
    });
    View::build(rows.collect(), now, std::time::Duration::from_secs(1))
}

/// A prompt of four blocks, of which pods have so many.
fn matched(matched: [u32; 9]) -> PrefixMatch {
    PrefixMatch { hashes: vec![1, 2, 3, 4], block_tokens: 64, matched: matched.to_vec() }
}

/// The costs of the destinations, and the pairs for them.
fn costs(parameters: Value, found: PrefixMatch, view: &View) -> (Vec<f32>, Vec<Option<Pair>>) {
    let scorer = Instance::new(KIND, parameters).unwrap().knowing(found).knowing(fact(view));
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| [0, 4, 8].contains(&i));
    let (mut out, request) = (vec![0.0; 3], Request::default());
    scorer.roles.scorer.as_ref().unwrap().score(&scorer.ask(&request, view, &[]), &candidates, &mut out);
    (out, candidates.iter().map(|i| scorer.fact::<PdGroups>().noted(i)).collect())
}

fn pairs(pairs: [(usize, usize); 3]) -> Vec<Option<Pair>> {
    pairs.map(|(prefill, decode)| Some(Pair { prefill, decode })).to_vec()
}

/// Leaders have no KV cache; of the first group the second prefill pod has the prompt, and its decode pod is full.
fn view() -> View {
    let known = |usage, waiting| (Some(usage), Some(waiting));
    pool([
        (None, None),
        known(0.5, 0.0),
        known(0.5, 2.0),
        known(1.0, 4.0),
        (None, None),
        known(0.25, 1.0),
        known(0.0, 4.0),
        known(0.0, 0.0),
        known(0.5, 4.0),
    ])
}

#[rstest]
// 2: 0 + 1/2 + 2/4, 5: 1 + 1/4 + 1/4, 8: 1 + 1/2 + 1; decode 3: 1 + 1, 7: 0, 8: 1/2 + 1.
#[case::equal_weights(json!({}), [4.0 / 6.0, 0.25, 9.5 / 12.0], [(2, 3), (5, 7), (8, 8)])]
#[case::prefill_alone(json!({"decodeScoreWeight": 0}), [1.0 / 3.0, 0.5, 2.5 / 3.0], [(2, 3), (5, 7), (8, 8)])]
#[case::decode_alone(json!({"prefillPodScoreWeight": 0}), [1.0, 0.0, 0.75], [(2, 3), (5, 7), (8, 8)])]
#[case::prefix_alone(
    json!({"decodeScoreWeight": 0, "xpuCacheUsageWeight": 0, "prefillQueueWeight": 0}), [0.0, 1.0, 1.0], [(2, 3), (5, 7), (8, 8)]
)]
#[case::queues_alone(
    json!({"kvCacheHitNotRateWeight": 0, "xpuCacheUsageWeight": 0}), [0.5, 0.125, 1.0], [(1, 3), (5, 7), (8, 8)]
)]
#[case::usage_alone(
    json!({"prefillPrefixWeight": 0, "prefillWaitingRequestWeight": 0, "decodeWaitingRequestWeight": 0}),
    [0.75, 0.0, 0.5], [(1, 3), (6, 7), (8, 8)],
)]
#[case::nothing_of_prefill_pods(
    json!({"prefillPrefixWeight": 0, "prefillKVUsageWeight": 0, "prefillQueueWeight": 0, "decodeQueueWeight": 0}),
    [0.5, 0.0, 0.25], [(1, 3), (5, 7), (8, 8)],
)]
fn a_leader_costs_what_the_best_pair_of_its_group_does(
    #[case] parameters: Value,
    #[case] expected: [f32; 3],
    #[case] found: [(usize, usize); 3],
) {
    let prompt = matched([0, 0, 4, 0, 0, 0, 0, 0, 0]);
    assert_eq!(costs(parameters, prompt, &view()), (expected.to_vec(), pairs(found)));
}

#[test]
fn requests_in_flight_count_if_they_have_a_weight() {
    let view = pool([(None, None); 9]);
    for (i, requests) in [(1, 4), (2, 2), (3, 3), (5, 1), (6, 1)] {
        view.endpoints[i].live().add(Load { requests, tokens: 0 });
    }
    let zero = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), json!(0))).collect();
    let mut only: serde_json::Map<String, Value> = zero(&["prefillPrefixWeight", "prefillKVUsageWeight"]);
    only.extend([
        ("prefillInflightWeight".to_owned(), json!(1)),
        ("decodeInflightWeight".to_owned(), json!(2)),
    ]);
    only.extend(zero(&["prefillQueueWeight", "decodeKVUsageWeight", "decodeQueueWeight"]));
    let found = costs(Value::Object(only), PrefixMatch::default(), &view);
    assert_eq!(found, (vec![0.75, 0.125, 0.0], pairs([(2, 3), (5, 7), (8, 8)])));
    // Without a weight they decide among equals.
    let found = costs(json!({}), PrefixMatch::default(), &view);
    assert_eq!(found, (vec![1.0 / 6.0; 3], pairs([(2, 3), (5, 7), (8, 8)])));
}

#[test]
fn pods_that_take_no_requests_cost_most() {
    let view = pods(&POOL);
    let scorer = Instance::new(KIND, json!({})).unwrap().knowing(fact(&view));
    let third = 1.0 / 6.0;
    assert_eq!(
        scorer.scores(&Request::default(), &view),
        [third, 1.0, 1.0, 1.0, third, 1.0, 1.0, 1.0, third]
    );
}

#[rstest]
#[case("prefillPrefixWeight")]
#[case("prefillKVUsageWeight")]
#[case("prefillQueueWeight")]
#[case("prefillInflightWeight")]
#[case("decodeKVUsageWeight")]
#[case("decodeQueueWeight")]
#[case("decodeInflightWeight")]
#[case("prefillScoreWeight")]
#[case("decodePodScoreWeight")]
#[case("xpuCacheUsageWeight")]
fn a_weight_is_no_less_than_nothing(#[case] field: &str) {
    let error = build(KIND, json!({field: -1})).err().unwrap();
    assert_eq!(error.to_string(), format!("plugins[0].parameters.{field}: must be at least 0"));
}

#[test]
fn one_of_the_pair_counts() {
    let error = build(KIND, json!({"prefillScoreWeight": 0, "decodeScoreWeight": 0})).err().unwrap();
    let message = "is 0, and so is decodeScoreWeight; make one of them positive";
    assert_eq!(error.to_string(), format!("plugins[0].parameters.prefillScoreWeight: {message}"));
}

/// A configuration of Hermes-router 25.12.
#[test]
fn the_former_configuration_is_taken_with_warnings() {
    let strategy = strategy(
        "
plugins:
- type: filter-by-pd-label
- type: scorer-pd-kv-cache-aware
  parameters:
    kvCacheHitNotRateWeight: 1.0
    xpuCacheUsageWeight: 1.0
    prefillWaitingRequestWeight: 1.0
    decodeWaitingRequestWeight: 1.0
    prefillPodScoreWeight: 1.0
    decodePodScoreWeight: 1.0
    kvCacheManagerIP: cache-indexer-service
- type: picker-pd-kv-cache-aware
- type: pd-header-handler
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: filter-by-pd-label
  - {pluginRef: scorer-pd-kv-cache-aware, weight: 1}
  - pluginRef: picker-pd-kv-cache-aware
  - pluginRef: pd-header-handler
",
    );
    let told: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    let former = |field: &str, now: &str| {
        format!("plugins[1].parameters.{field}: is the former name of {now}; write that")
    };
    let kind = |n: usize, former: &str, now: &str| {
        format!("plugins[{n}].type: {former} is a former name of {now}; write that")
    };
    assert_eq!(
        told,
        [
            kind(0, "filter-by-pd-label", "pd-group-filter"),
            kind(1, "scorer-pd-kv-cache-aware", KIND),
            former("kvCacheHitNotRateWeight", "prefillPrefixWeight"),
            former("xpuCacheUsageWeight", "prefillKVUsageWeight and decodeKVUsageWeight"),
            former("prefillWaitingRequestWeight", "prefillQueueWeight"),
            former("decodeWaitingRequestWeight", "decodeQueueWeight"),
            former("prefillPodScoreWeight", "prefillScoreWeight"),
            former("decodePodScoreWeight", "decodeScoreWeight"),
            "plugins[1].parameters.kvCacheManagerIP: has no effect; take it out".to_owned(),
            kind(2, "picker-pd-kv-cache-aware", "min-score-picker"),
            "schedulingProfiles[0].plugins[3].pluginRef: \"pd-header-handler\" is no filter, scorer or picker, and works \
             without being named here; take it out"
                .to_owned(),
        ]
    );
}

/// What pods cost by the rule, in f64: `pods` as prefill pods, or as decode pods.
fn plain(
    weights: [f64; 4],
    pods: &[usize],
    known: &[Known; 9],
    matched: Option<[u32; 9]>,
    in_flight: [u32; 9],
) -> Vec<f64> {
    let filled = |values: Vec<Option<f64>>| {
        let all: Vec<f64> = values.iter().flatten().copied().collect();
        let mean = if all.is_empty() { 0.0 } else { all.iter().sum::<f64>() / all.len() as f64 };
        values.into_iter().map(|value| value.unwrap_or(mean)).collect::<Vec<_>>()
    };
    let ranked = |values: Vec<Option<f64>>| {
        let least = values.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        let rank = |v: f64| if most > least { (v - least) / (most - least) } else { 0.0 };
        filled(values.into_iter().map(|v| v.map(rank)).collect())
    };
    let usage = filled(pods.iter().map(|&i| known[i].0.map(f64::from)).collect());
    let waiting = ranked(pods.iter().map(|&i| known[i].1.map(f64::from)).collect());
    let flights = ranked(pods.iter().map(|&i| Some(f64::from(in_flight[i]))).collect());
    let cost = |n: usize| {
        let miss = matched.map_or(0.0, |matched| 1.0 - f64::from(matched[pods[n]]) / 4.0);
        let parts = [miss, usage[n], waiting[n], flights[n]];
        parts.iter().zip(weights).map(|(part, weight)| part * weight).sum::<f64>()
            / weights.iter().sum::<f64>()
    };
    (0..pods.len()).map(cost).collect()
}

fn known() -> impl proptest::strategy::Strategy<Value = Known> {
    (prop::option::of(0.0_f32..1.0), prop::option::of(0.0_f32..500.0))
}

proptest! {
    #[test]
    fn agrees_with_the_rule(
        known in prop::array::uniform9(known()),
        blocks in prop::array::uniform9(0..=4_u32),
        in_flight in prop::array::uniform9(0..20_u32),
        prefill in [0.01_f64..4.0, 0.0..4.0, 0.0..4.0, 0.0..4.0],
        decode in [0.01_f64..4.0, 0.0..4.0, 0.0..4.0],
        scores in [0.01_f64..4.0, 0.0..4.0],
    ) {
        let view = pool(known);
        for (endpoint, requests) in view.endpoints.iter().zip(in_flight) {
            endpoint.live().add(Load { requests, tokens: 0 });
        }
        let parameters = json!({
            "prefillPrefixWeight": prefill[0], "prefillKVUsageWeight": prefill[1], "prefillQueueWeight": prefill[2],
            "prefillInflightWeight": prefill[3], "decodeKVUsageWeight": decode[0], "decodeQueueWeight": decode[1],
            "decodeInflightWeight": decode[2], "prefillScoreWeight": scores[0], "decodeScoreWeight": scores[1],
        });
        let (scored, found) = costs(parameters, matched(blocks), &view);
        let prefills = [1, 2, 5, 6, 8];
        let first = plain(prefill, &prefills, &known, Some(blocks), in_flight);
        let second = plain([0.0, decode[0], decode[1], decode[2]], &[3, 7, 8], &known, None, in_flight);
        for (n, members) in [&[0, 1][..], &[2, 3], &[4]].into_iter().enumerate() {
            let best = members.iter().map(|&m| first[m]).fold(f64::INFINITY, f64::min);
            let expected = (scores[0] * best + scores[1] * second[n]) / (scores[0] + scores[1]);
            prop_assert!((f64::from(scored[n]) - expected).abs() < 1e-5, "{scored:?}");
            let pair = found[n].unwrap();
            let chosen = prefills.iter().position(|&pod| pod == pair.prefill).unwrap();
            prop_assert!(members.contains(&chosen) && first[chosen] - best < 1e-5, "{found:?}");
            prop_assert_eq!(pair.decode, [3, 7, 8][n]);
        }
    }
}
