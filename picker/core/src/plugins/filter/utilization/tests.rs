use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::request::Request;
use crate::testing::{Instance, build, view};
use crate::view::Signals;

const KIND: &str = "utilization-filter";

fn signals(waiting: Option<f32>, running: Option<f32>, kv_usage: Option<f32>) -> Signals {
    Signals { waiting, running, kv_usage, ..Signals::default() }
}

#[rstest]
#[case(json!([{"metric": "waiting-queue", "maxValue": 2}]), false, &[0, 1, 3])]
#[case(json!([{"metric": "kv-cache-utilization", "maxValue": 0.5}]), false, &[0, 3])]
#[case::all_must_hold(json!([{"metric": "waiting-queue", "maxValue": 2}, {"metric": "running-requests", "maxValue": 1}]), false, &[0, 3])]
#[case(json!([{"metric": "active-requests", "maxValue": 0}]), false, &[0, 1, 2, 3])]
#[case::the_unknown_one_is_above_nothing(json!([{"metric": "kv-cache-utilization", "maxValue": 0}]), true, &[3])]
fn those_within_the_limits_are_kept(
    #[case] conditions: Value,
    #[case] fallback: bool,
    #[case] kept: &[usize],
) {
    let view = view([
        signals(Some(2.0), Some(0.0), Some(0.5)),
        signals(Some(0.0), Some(4.0), Some(0.75)),
        signals(Some(3.0), Some(0.0), Some(1.0)),
        Signals::default(),
    ]);
    let parameters = json!({"conditions": conditions, "fallbackOnEmpty": fallback});
    assert_eq!(Instance::new(KIND, parameters).unwrap().kept(&Request::default(), &view), kept);
}

#[test]
fn where_none_is_within_the_limits_all_stay_if_so_wanted() {
    let view = view([signals(Some(3.0), None, None), signals(Some(4.0), None, None)]);
    let kept = |fallback: bool| {
        let parameters =
            json!({"conditions": [{"metric": "waiting-queue", "maxValue": 1}], "fallbackOnEmpty": fallback});
        Instance::new(KIND, parameters).unwrap().kept(&Request::default(), &view)
    };
    assert_eq!((kept(true), kept(false)), (vec![0, 1], vec![]));
}

#[rstest]
#[case(json!({"conditions": []}), "conditions: must have at least one; without any the filter does nothing")]
#[case(json!({"conditions": [{"metric": "waiting-queue", "maxValue": -1}]}), "conditions[0].maxValue: must be at least 0")]
#[case(json!({"conditions": [{"metric": "kv-cache-utilization", "maxValue": 80}]}), "conditions[0].maxValue: must lie between 0 and 1: it is a share")]
#[case(json!({"conditions": [{"metric": "queue", "maxValue": 1}]}), "conditions[0].metric: unknown variant `queue`, expected one of `active-requests`, `running-requests`, `waiting-queue`, `kv-cache-utilization`")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    let error = build(KIND, parameters).err().unwrap().to_string();
    assert_eq!(error, format!("plugins[0].parameters.{message}"));
}

proptest! {
    /// The published rule, in which an unknown number is 0.
    #[test]
    fn the_published_rule_holds(
        rows in prop::collection::vec((prop::option::of(0.0_f32..20.0), prop::option::of(0.0_f32..1.0)), 1..12),
        waiting in 0.0_f64..20.0,
        kv in 0.0_f64..1.0,
        fallback in any::<bool>(),
    ) {
        let view = view(rows.iter().map(|&(waiting, kv)| signals(waiting, None, kv)));
        let parameters = json!({
            "conditions": [
                {"metric": "waiting-queue", "maxValue": waiting},
                {"metric": "kv-cache-utilization", "maxValue": kv},
            ],
            "fallbackOnEmpty": fallback,
        });
        let kept = Instance::new(KIND, parameters).unwrap().kept(&Request::default(), &view);
        let mut expected: Vec<usize> = (0..rows.len())
            .filter(|&i| f64::from(rows[i].0.unwrap_or(0.0)) <= waiting && f64::from(rows[i].1.unwrap_or(0.0)) <= kv)
            .collect();
        if expected.is_empty() && fallback {
            expected = (0..rows.len()).collect();
        }
        prop_assert_eq!(kept, expected);
    }
}
