use rstest::rstest;
use serde_json::{Value, json};

use crate::Cx;
use crate::refusal::{Refusal, RefusalKind};
use crate::request::Request;
use crate::testing::{Instance, build, strategy, view};
use crate::view::{Candidates, Signals, View};

const NAN: f32 = f32::NAN;

/// Servers with these queues and shares of the KV cache in use; NaN where unknown.
fn servers(loads: &[(f32, f32)]) -> View {
    let known = |value: f32| (!value.is_nan()).then_some(value);
    view(loads.iter().map(|&(waiting, kv_usage)| Signals {
        waiting: known(waiting),
        kv_usage: known(kv_usage),
        ..Signals::default()
    }))
}

fn admitted(parameters: Value, priority: i32, view: &View, candidates: &Candidates, seed: u64) -> bool {
    let instance = Instance::new("probabilistic-admitter", parameters).unwrap();
    let request = Request { priority, ..Request::default() };
    let mut cx = Cx::new(instance.cx.now(), seed);
    let admitter = instance.roles.admitter.as_ref().unwrap();
    let answer = admitter.admit(&instance.ask(&request, view, &[]), candidates, &mut cx);
    assert!(answer.is_ok() || answer == Err(RefusalKind::Shed.into()), "{answer:?}");
    answer.is_ok()
}

/// How many of the seeds 0 to 999 lead to a refusal, and how many draws of these seeds lie below `probability`.
fn refused_and_expected(parameters: &Value, view: &View, probability: f64) -> (usize, usize) {
    let all = Candidates::of(&view.endpoints, None);
    let refused = (0..1000).filter(|&seed| !admitted(parameters.clone(), -1, view, &all, seed)).count();
    let now = std::time::Instant::now();
    (refused, (0..1000).filter(|&seed| Cx::new(now, seed).unit() < probability).count())
}

#[rstest]
// 300 · 0.2^5
#[case::by_queue(json!({}), &[(1.0, 0.0)], 0.096)]
// 300 · (0.2 / 0.8)^5
#[case::by_kv_cache(json!({}), &[(1.0, 0.2)], 0.292_968_75)]
// 300 · ((0.4 + 0.1) / 2)^5
#[case::the_mean_of_the_greater_ratios(json!({}), &[(2.0, 0.16), (0.0, 0.08)], 0.292_968_75)]
#[case::a_queue_alone_is_known(json!({}), &[(1.0, NAN)], 0.096)]
#[case::a_kv_cache_alone_is_known(json!({}), &[(NAN, 0.16)], 0.096)]
#[case::unknown_servers_are_left_out(json!({}), &[(NAN, NAN), (1.0, 0.0), (NAN, NAN)], 0.096)]
#[case::nothing_is_known(json!({}), &[(NAN, NAN), (NAN, NAN)], 0.0)]
#[case::idle(json!({}), &[(0.0, 0.0)], 0.0)]
#[case::full(json!({}), &[(5.0, 0.0)], 1.0)]
#[case::what_cannot_be_is_no_load(json!({}), &[(-5.0, -1.0)], 0.0)]
#[case::own_queue_threshold(json!({"queueDepthThreshold": 10}), &[(2.0, 0.0)], 0.096)]
#[case::own_kv_threshold(json!({"kvCacheUtilThreshold": 0.4}), &[(0.0, 0.08)], 0.096)]
#[case::a_kv_threshold_above_1(json!({"kvCacheUtilThreshold": 2}), &[(0.0, 0.4)], 0.096)]
#[case::own_curve(json!({"power": 2, "k": 3}), &[(2.0, 0.0)], 0.48)]
fn low_priority_is_turned_away_by_the_formula(
    #[case] parameters: Value,
    #[case] loads: &[(f32, f32)],
    #[case] probability: f64,
) {
    let (refused, expected) = refused_and_expected(&parameters, &servers(loads), probability);
    assert_eq!(refused, expected);
    assert!((refused as f64 / 1000.0 - probability).abs() < 0.05, "{refused}");
}

#[test]
fn from_priority_0_on_everything_is_admitted() {
    let full = servers(&[(100.0, 1.0)]);
    let all = Candidates::of(&full.endpoints, None);
    let admitted = [i32::MIN, -1, 0, 1].map(|priority| admitted(json!({}), priority, &full, &all, 1));
    assert_eq!(admitted, [false, false, true, true]);
}

#[test]
fn only_candidates_count() {
    let view = servers(&[(100.0, 1.0), (0.0, 0.0)]);
    let mut idle = Candidates::of(&view.endpoints, None);
    idle.retain(|i| i == 1);
    assert!(admitted(json!({}), -1, &view, &idle, 1));
    let all = Candidates::of(&view.endpoints, None);
    assert!(!admitted(json!({}), -1, &view, &all, 1));
}

#[test]
fn a_strategy_answers_429_before_an_endpoint_is_chosen() {
    let strategy = strategy("plugins: [{type: probabilistic-admitter}]");
    let full = servers(&[(5.0, 0.0)]);
    let route = |priority| {
        let request = Request { priority, ..Request::default() };
        let mut cx = Cx::new(std::time::Instant::now(), 1);
        strategy.route(&request, &full, None, &mut cx).map(|flight| flight.targets().len())
    };
    let refusal = Refusal::from(RefusalKind::Shed);
    assert_eq!(refusal.kind.row().status, 429);
    assert_eq!((route(-1), route(0)), (Err(refusal), Ok(1)));
    assert!(strategy.scrape.is_some());
}

#[rstest]
#[case(json!({"queueDepthThreshold": 0}), "queueDepthThreshold: must be at least 1")]
#[case(json!({"queueDepthThreshold": 1.5}), "queueDepthThreshold: invalid type: floating point `1.5`, expected u32")]
#[case(json!({"kvCacheUtilThreshold": 0}), "kvCacheUtilThreshold: must be a number above 0")]
#[case(json!({"kvCacheUtilThreshold": -0.5}), "kvCacheUtilThreshold: must be a number above 0")]
#[case(json!({"power": 0}), "power: must be a number above 0")]
#[case(json!({"k": -1}), "k: must be a number above 0")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] expected: &str) {
    let error = build("probabilistic-admitter", parameters).err().map(|error| error.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{expected}")));
}

#[test]
fn a_kv_threshold_above_1_is_taken_with_a_warning() {
    let with = |threshold: f64| {
        let parameters = json!({"kvCacheUtilThreshold": threshold});
        let routing = json!({"plugins": [{"type": "probabilistic-admitter", "parameters": parameters}]});
        strategy(&routing.to_string()).warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(with(1.0), [""; 0]);
    let expected = "plugins[0].parameters.kvCacheUtilThreshold: is above 1, so that a full KV cache does not count as \
                    saturated; write a share of at most 1";
    assert_eq!(with(1.01), [expected]);
}
