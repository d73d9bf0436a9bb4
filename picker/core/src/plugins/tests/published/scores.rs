//! Rules of scorers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::scene::{Pod, Scene, known, scenes};
use super::{NEAR, assert_none, check};
use crate::testing::Instance;

/// A rule.
pub struct Rule {
    /// The type.
    pub kind: &'static str,
    /// Parameters, none of which may be left out that `scores` reads.
    parameters: fn() -> BoxedStrategy<Value>,
    /// The score of each candidate.
    scores: fn(&Value, &Scene) -> Vec<f64>,
}

pub const RULES: &[Rule] = &[
    Rule { kind: "active-request-scorer", parameters: active_request_parameters, scores: active_request },
    Rule { kind: "endpoint-attribute-scorer", parameters: attribute_parameters, scores: attribute },
    Rule { kind: "kv-cache-utilization-scorer", parameters: none, scores: kv_cache_utilization },
    Rule { kind: "load-aware-scorer", parameters: load_aware_parameters, scores: load_aware },
    Rule { kind: "lora-affinity-scorer", parameters: none, scores: lora_affinity },
    Rule {
        kind: "multicluster-prefix-cache-scorer",
        parameters: prefix_cache_parameters,
        scores: prefix_cache,
    },
    Rule { kind: "prefix-cache-scorer", parameters: prefix_cache_parameters, scores: prefix_cache },
    Rule { kind: "queue-scorer", parameters: none, scores: queue },
    Rule { kind: "running-requests-size-scorer", parameters: none, scores: running_requests_size },
    Rule { kind: "session-affinity-scorer", parameters: none, scores: session_affinity },
    Rule { kind: "token-load-scorer", parameters: token_load_parameters, scores: token_load },
];

fn none() -> BoxedStrategy<Value> {
    Just(json!({})).boxed()
}

/// Ours where a number is unknown, which others take for 0: the mean of the scores that are known, and `without` where none is.
fn or_mean(scores: Vec<Option<f64>>, without: f64) -> Vec<f64> {
    let known: Vec<f64> = scores.iter().copied().flatten().collect();
    let mean = if known.is_empty() { without } else { known.iter().sum::<f64>() / known.len() as f64 };
    scores.into_iter().map(|score| score.unwrap_or(mean)).collect()
}

/// (most − value) / (most − least), 1 where all are equal.
fn relative(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let known = || values.iter().copied().flatten();
    let (least, most) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    let score = |value: f64| if most == least { 1.0 } else { (most - value) / (most - least) };
    values.iter().map(|value| value.map(score)).collect()
}

fn queue(_: &Value, scene: &Scene) -> Vec<f64> {
    let values: Vec<_> = scene.each().map(|pod| known(pod.waiting)).collect();
    or_mean(relative(&values), 1.0)
}

fn running_requests_size(_: &Value, scene: &Scene) -> Vec<f64> {
    let values: Vec<_> = scene.each().map(|pod| known(pod.running)).collect();
    or_mean(relative(&values), 1.0)
}

fn kv_cache_utilization(_: &Value, scene: &Scene) -> Vec<f64> {
    or_mean(scene.each().map(|pod| Some(1.0 - known(pod.kv_usage)?)).collect(), 1.0)
}

fn load_aware_parameters() -> BoxedStrategy<Value> {
    prop_oneof![Just(0_u32), 1..300_u32].prop_map(|threshold| json!({"threshold": threshold})).boxed()
}

fn load_aware(parameters: &Value, scene: &Scene) -> Vec<f64> {
    let threshold = match parameters["threshold"].as_f64().unwrap() {
        0.0 => 128.0,
        given => given,
    };
    let score = |waiting: f64| match waiting {
        0.0 => 0.5,
        waiting => 0.5 * (1.0 - waiting.min(threshold) / threshold),
    };
    // Ours where no queue is known: half of what the scorers of one signal give.
    or_mean(scene.each().map(|pod| known(pod.waiting).map(score)).collect(), 0.5)
}

fn lora_affinity(_: &Value, scene: &Scene) -> Vec<f64> {
    // Requests without a model are refused elsewhere. Here nobody is preferred.
    let Some(model) = scene.model else { return vec![0.0; scene.candidates.len()] };
    let score = |pod: &Pod| {
        let (max, running, waiting) = pod.adapters.as_ref()?;
        Some(if running.contains(&model) {
            1.0
        } else if running.len() + waiting.len() < *max as usize {
            0.8
        } else if waiting.contains(&model) {
            0.6
        } else {
            0.0
        })
    };
    or_mean(scene.each().map(score).collect(), 0.0)
}

fn token_load_parameters() -> BoxedStrategy<Value> {
    let threshold = prop_oneof![Just(0_u64), 1..10_000_u64, 1..4_000_000_u64];
    threshold.prop_map(|threshold| json!({"queueThresholdTokens": threshold})).boxed()
}

fn token_load(parameters: &Value, scene: &Scene) -> Vec<f64> {
    let threshold = match parameters["queueThresholdTokens"].as_f64().unwrap() {
        0.0 => 4_194_304.0,
        given => given,
    };
    let score = |pod: &Pod| {
        let tokens = (pod.tokens + pod.uncached + scene.output) as f64;
        if tokens <= 0.0 { 1.0 } else { 1.0 - tokens.min(threshold) / threshold }
    };
    scene.each().map(score).collect()
}

fn active_request_parameters() -> BoxedStrategy<Value> {
    let parameters = (0..4_u32, prop_oneof![Just(1.0_f32), 0.0_f32..=1.0]);
    parameters.prop_map(|(idle, most)| json!({"idleThreshold": idle, "maxBusyScore": most})).boxed()
}

fn active_request(parameters: &Value, scene: &Scene) -> Vec<f64> {
    let idle = parameters["idleThreshold"].as_u64().unwrap();
    let busy = parameters["maxBusyScore"].as_f64().unwrap();
    let most = scene.each().map(|pod| pod.in_flight).max().unwrap();
    let score = |pod: &Pod| match u64::from(pod.in_flight) {
        count if count <= idle => 1.0,
        _ => f64::from(most - pod.in_flight) / f64::from(most) * busy,
    };
    scene.each().map(score).collect()
}

fn prefix_cache_parameters() -> BoxedStrategy<Value> {
    let parameters = (prop_oneof![Just(0.0_f32), 0.0_f32..=1.0], 1..1000_u32);
    parameters
        .prop_map(|(weight, scale)| json!({"matchLengthWeight": weight, "matchLengthScaleTokens": scale}))
        .boxed()
}

fn prefix_cache(parameters: &Value, scene: &Scene) -> Vec<f64> {
    let weight = parameters["matchLengthWeight"].as_f64().unwrap();
    let scale = parameters["matchLengthScaleTokens"].as_f64().unwrap();
    let score = |pod: &Pod| {
        if scene.blocks == 0 || !scene.prefixes {
            return 0.0;
        }
        let matched = f64::from(pod.matched.min(scene.blocks));
        let length = (matched * 64.0 / scale).min(1.0);
        weight * length.powi(2) + (1.0 - weight) * matched / f64::from(scene.blocks)
    };
    scene.each().map(score).collect()
}

fn attribute_parameters() -> BoxedStrategy<Value> {
    let key = prop::sample::select(&["WaitingQueueSize", "RunningRequestsSize", "KVCacheUsagePercent"][..]);
    let kind = prop::sample::select(&["linear_lower_is_better", "linear_higher_is_better"][..]);
    let fixed = prop::option::of((0.0_f32..2.0, 0.1_f32..10.0));
    (key, kind, fixed)
        .prop_map(|(key, kind, fixed)| {
            let normalization = match fixed {
                Some((min, width)) => json!({"fixedRange": {"min": min, "max": min + width}}),
                None => json!({"adaptiveRange": {}}),
            };
            json!({"attributeKey": key, "algorithm": {"type": kind, "normalization": normalization}})
        })
        .boxed()
}

/// The number that `pod` has of an attribute.
pub fn value(pod: &Pod, attribute: &Value) -> Option<f32> {
    match attribute.as_str().unwrap() {
        "WaitingQueueSize" => pod.waiting,
        "RunningRequestsSize" => pod.running,
        _ => pod.kv_usage,
    }
}

fn attribute(parameters: &Value, scene: &Scene) -> Vec<f64> {
    let values: Vec<_> = scene.each().map(|pod| known(value(pod, &parameters["attributeKey"]))).collect();
    let algorithm = &parameters["algorithm"];
    let fixed = &algorithm["normalization"]["fixedRange"];
    let all = || values.iter().copied().flatten();
    let min = fixed["min"].as_f64().unwrap_or_else(|| all().fold(f64::INFINITY, f64::min));
    let max = fixed["max"].as_f64().unwrap_or_else(|| all().fold(f64::NEG_INFINITY, f64::max));
    let score = |value: f64| {
        let share = ((value - min) / (max - min)).clamp(0.0, 1.0);
        match algorithm["type"].as_str().unwrap() {
            _ if min == max => 1.0,
            "linear_lower_is_better" => 1.0 - share,
            _ => share,
        }
    };
    values.into_iter().map(|value| value.map_or(0.0, score)).collect()
}

/// With the strategy `encoded_endpoint_header`. The other one has a table: see the histories.
fn session_affinity(_: &Value, scene: &Scene) -> Vec<f64> {
    let bound = super::filters::named_by_token(scene);
    scene.candidates.iter().map(|i| if bound.contains(i) { 1.0 } else { 0.0 }).collect()
}

#[test]
fn scorers_score_as_published() {
    assert_none(RULES.iter().map(|rule| {
        check(rule.kind, 512, &(scenes(), (rule.parameters)()), |(scene, parameters)| {
            let mut instance = Instance::new(rule.kind, parameters.clone()).unwrap();
            scene.tell(&mut instance);
            let (request, view) = (scene.request(), scene.view());
            let mut scores = vec![0.0; scene.candidates.len()];
            let scorer = instance.roles.scorer.clone().unwrap();
            scorer.score(&instance.ask(&request, &view, &[]), &scene.candidates(&view), &mut scores);
            let expected = (rule.scores)(&parameters, &scene);
            let is_near = |(score, expected): (&f32, &f64)| (f64::from(*score) - expected).abs() <= NEAR;
            prop_assert!(
                scores.len() == expected.len() && scores.iter().zip(&expected).all(is_near),
                "{scores:?}, as published {expected:?}"
            );
            Ok(())
        })
    }));
}
