//! Rules of filters.

use base64::engine::{Engine, general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::scene::{Pod, ROLE, Scene, scenes};
use super::scores::value;
use super::{assert_none, check};
use crate::testing::Instance;

/// A rule.
pub struct Rule {
    /// The type.
    pub kind: &'static str,
    /// Parameters, none of which may be left out that `kept` reads.
    parameters: fn() -> BoxedStrategy<Value>,
    /// The candidates that stay, in their order.
    kept: fn(&Value, &Scene) -> Vec<usize>,
}

pub const RULES: &[Rule] = &[
    Rule { kind: "decode-filter", parameters: none, kept: decode },
    Rule { kind: "encode-filter", parameters: none, kept: encode },
    Rule { kind: "endpoint-attribute-filter", parameters: attribute_parameters, kept: attribute },
    Rule { kind: "header-based-testing-filter", parameters: testing_parameters, kept: testing },
    Rule { kind: "label-selector-filter", parameters: selectors, kept: label_selector },
    Rule { kind: "prefill-filter", parameters: none, kept: prefill },
    Rule { kind: "prefix-cache-affinity-filter", parameters: prefix_parameters, kept: prefix_cache_affinity },
    Rule { kind: "session-affinity-filter", parameters: none, kept: session_affinity },
];

fn none() -> BoxedStrategy<Value> {
    Just(json!({})).boxed()
}

fn those(scene: &Scene, stays: impl Fn(&Pod) -> bool) -> Vec<usize> {
    scene.candidates.iter().copied().filter(|&i| stays(&scene.pods[i])).collect()
}

fn with_role(scene: &Scene, roles: &[&str], unlabelled: bool) -> Vec<usize> {
    let stays = |pod: &Pod| pod.labels.get(ROLE).map_or(unlabelled, |role| roles.contains(&role.as_str()));
    those(scene, stays)
}

fn decode(_: &Value, scene: &Scene) -> Vec<usize> {
    with_role(scene, &["decode", "prefill-decode", "both", "encode-prefill-decode"], true)
}

fn prefill(_: &Value, scene: &Scene) -> Vec<usize> {
    let roles = ["prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"];
    with_role(scene, &roles, false)
}

fn encode(_: &Value, scene: &Scene) -> Vec<usize> {
    with_role(scene, &["encode", "encode-prefill", "encode-prefill-decode"], false)
}

fn selectors() -> BoxedStrategy<Value> {
    let key = || prop::sample::select(&["tier", "zone", ROLE, "none"][..]);
    let value = || prop::sample::select(&["a", "b", "decode", ""][..]);
    let equal = prop::collection::btree_map(key(), value(), 0..2);
    let compared = (key(), prop::sample::select(&["In", "NotIn"][..]), prop::collection::vec(value(), 1..3))
        .prop_map(|(key, operator, values)| json!({"key": key, "operator": operator, "values": values}));
    let there = (key(), prop::sample::select(&["Exists", "DoesNotExist"][..]))
        .prop_map(|(key, operator)| json!({"key": key, "operator": operator}));
    let expressions = prop::collection::vec(prop_oneof![compared, there], 0..3);
    (equal, expressions)
        .prop_map(|(equal, expressions)| json!({"matchLabels": equal, "matchExpressions": expressions}))
        .boxed()
}

/// As Kubernetes defines label selectors.
fn label_selector(selector: &Value, scene: &Scene) -> Vec<usize> {
    let holds = |pod: &Pod, expression: &Value| {
        let label = pod.labels.get(expression["key"].as_str().unwrap());
        let listed = expression["values"]
            .as_array()
            .is_some_and(|values| values.iter().any(|value| value.as_str() == label.map(String::as_str)));
        match expression["operator"].as_str().unwrap() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => label.is_some(),
            _ => label.is_none(),
        }
    };
    those(scene, |pod| {
        let equal = selector["matchLabels"].as_object().unwrap();
        let expressions = selector["matchExpressions"].as_array().unwrap();
        equal.iter().all(|(key, value)| pod.labels.get(key).map(String::as_str) == value.as_str())
            && expressions.iter().all(|expression| holds(pod, expression))
    })
}

fn attribute_parameters() -> BoxedStrategy<Value> {
    let key = prop::sample::select(&["WaitingQueueSize", "RunningRequestsSize", "KVCacheUsagePercent"][..]);
    let operators = ["LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "Equal", "NotEqual"];
    let value = prop_oneof![(0..6_u8).prop_map(f32::from), 0.0_f32..10.0];
    let missing = prop::sample::select(&["Pass", "Fail"][..]);
    (key, prop::sample::select(operators.to_vec()), value, missing, any::<bool>())
        .prop_map(|(key, operator, value, missing, fallback)| {
            let algorithm = json!({"type": "threshold", "threshold": {"operator": operator, "value": value}});
            json!({"attribute": key, "onMissing": missing, "fallbackOnEmpty": fallback, "algorithm": algorithm})
        })
        .boxed()
}

fn attribute(parameters: &Value, scene: &Scene) -> Vec<usize> {
    let threshold = &parameters["algorithm"]["threshold"];
    let limit = threshold["value"].as_f64().unwrap();
    // An attribute may be any number: infinity is one, and what is no number is missing.
    let number = |pod: &Pod| value(pod, &parameters["attribute"]).filter(|v| !v.is_nan()).map(f64::from);
    let kept = those(scene, |pod| match (number(pod), threshold["operator"].as_str().unwrap()) {
        (None, _) => parameters["onMissing"] == "Pass",
        (Some(value), "LessThan") => value < limit,
        (Some(value), "LessThanOrEqual") => value <= limit,
        (Some(value), "GreaterThan") => value > limit,
        (Some(value), "GreaterThanOrEqual") => value >= limit,
        (Some(value), "Equal") => value == limit,
        (Some(value), _) => value != limit,
    });
    if kept.is_empty() && parameters["fallbackOnEmpty"] == true { scene.candidates.clone() } else { kept }
}

fn prefix_parameters() -> BoxedStrategy<Value> {
    let threshold = prop_oneof![Just(0.0), Just(0.5), Just(0.8), Just(1.0), 0.0..=1.0_f64];
    let penalty = prop_oneof![Just(0.0), Just(18_000.0), 0.0..100_000.0_f64];
    let exploration = prop_oneof![4 => Just(0.0), 1 => Just(1.0)];
    (threshold, penalty, exploration, 1.0..20_000.0_f64)
        .prop_map(|(threshold, penalty, exploration, throughput)| {
            json!({
                "affinityThreshold": threshold,
                "maxTTFTPenaltyMs": penalty,
                "explorationProbability": exploration,
                "peakPrefillThroughput": throughput,
            })
        })
        .boxed()
}

fn prefix_cache_affinity(parameters: &Value, scene: &Scene) -> Vec<usize> {
    let number = |name: &str| parameters[name].as_f64().unwrap();
    let threshold = number("affinityThreshold");
    let passes = scene.candidates.len() <= 1 || threshold <= 0.0 || number("explorationProbability") == 1.0;
    if passes || !scene.prefixes || scene.blocks == 0 {
        return scene.candidates.clone();
    }
    let is_sticky =
        |pod: &Pod| f64::from(pod.matched.min(scene.blocks)) / f64::from(scene.blocks) >= threshold;
    let ttft_ms = |pod: &Pod| pod.tokens as f64 / number("peakPrefillThroughput") * 1000.0;
    let best = |sticky: bool| {
        let times = scene.each().filter(|pod| is_sticky(pod) == sticky).map(ttft_ms);
        times.fold(f64::INFINITY, f64::min)
    };
    let sticky = those(scene, is_sticky);
    // Ours: with 0 any time is waited for.
    let penalty = number("maxTTFTPenaltyMs");
    let too_slow = penalty > 0.0 && best(true) - best(false) > penalty;
    if sticky.is_empty() || too_slow { scene.candidates.clone() } else { sticky }
}

fn testing_parameters() -> BoxedStrategy<Value> {
    prop::sample::select(&["none", "all"][..]).prop_map(|absent| json!({"whenAbsent": absent})).boxed()
}

fn testing(parameters: &Value, scene: &Scene) -> Vec<usize> {
    let Some(list) = scene.header("test-epp-endpoint-selection") else {
        return if parameters["whenAbsent"] == "all" { scene.candidates.clone() } else { Vec::new() };
    };
    // Ours where two endpoints are at one address, of which others name one: without a port both are meant.
    let names = |i: usize, text: &str| {
        let host = format!("10.0.0.{}", i / 2);
        text == host || text == format!("{host}:{}", 8000 + i % 2)
    };
    let mut kept = Vec::new();
    for text in list.split(',') {
        let named = scene.candidates.iter().copied().filter(|&i| names(i, text));
        let new: Vec<_> = named.filter(|i| !kept.contains(i)).collect();
        kept.extend(new);
    }
    kept
}

/// The candidates that the session's token names: the base64 of `namespace/name`, and ours, of the name of a pod.
pub fn named_by_token(scene: &Scene) -> Vec<usize> {
    let token = scene.header("x-session-token");
    let is = |i: usize, name: String| Some(STANDARD.encode(name)).as_deref() == token && i < scene.pods.len();
    let named = |name: fn(usize) -> String| scene.candidates.iter().copied().filter(move |&i| is(i, name(i)));
    let endpoints = named(|i| format!("default/pod-{i}-rank-0"));
    endpoints.chain(named(|i| format!("default/pod-{i}"))).collect()
}

/// With the strategy `encoded_endpoint_header`. The other one has a table: see the histories.
fn session_affinity(_: &Value, scene: &Scene) -> Vec<usize> {
    let bound = named_by_token(scene);
    if bound.is_empty() { scene.candidates.clone() } else { bound }
}

#[test]
fn filters_keep_as_published() {
    assert_none(RULES.iter().map(|rule| {
        check(rule.kind, 512, &(scenes(), (rule.parameters)()), |(scene, parameters)| {
            let mut instance = Instance::new(rule.kind, parameters.clone()).unwrap();
            scene.tell(&mut instance);
            let (request, view) = (scene.request(), scene.view());
            let kept = instance.kept_of(&request, &view, scene.candidates(&view));
            prop_assert_eq!(kept, (rule.kept)(&parameters, &scene));
            Ok(())
        })
    }));
}
