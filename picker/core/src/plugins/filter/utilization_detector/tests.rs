use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::request::Request;
use crate::testing::{Instance, build, view};
use crate::view::Signals;

const KIND: &str = "utilization-detector";

fn kept(parameters: Value, rows: &[(Option<f32>, Option<f32>)]) -> Vec<usize> {
    let view =
        view(rows.iter().map(|&(waiting, kv_usage)| Signals { waiting, kv_usage, ..Signals::default() }));
    Instance::new(KIND, parameters).unwrap().kept(&Request::default(), &view)
}

#[rstest]
#[case::full_by_either(json!({}), &[(4.0, 0.5), (5.0, 0.5), (4.0, 0.8), (0.0, 0.79)], &[0, 3])]
#[case::room_above(json!({"headroom": 0.25}), &[(5.0, 0.9), (6.5, 0.5), (0.0, 1.0)], &[0])]
#[case::all_full(json!({}), &[(5.0, 0.0), (9.0, 1.0)], &[0, 1])]
fn the_full_ones_go(#[case] parameters: Value, #[case] rows: &[(f32, f32)], #[case] expected: &[usize]) {
    let rows: Vec<_> = rows.iter().map(|&(waiting, kv_usage)| (Some(waiting), Some(kv_usage))).collect();
    assert_eq!(kept(parameters, &rows), expected);
}

#[test]
fn those_of_which_nothing_is_known_go_unless_none_is_left() {
    assert_eq!(kept(json!({}), &[(None, Some(0.0)), (Some(0.0), Some(0.0)), (Some(0.0), None)]), [1]);
    assert_eq!(kept(json!({}), &[(None, None), (Some(9.0), None)]), [0, 1]);
}

#[rstest]
#[case(json!({"queueDepthThreshold": 0}), "queueDepthThreshold: must be at least 1")]
#[case(json!({"kvCacheUtilThreshold": 0}), "kvCacheUtilThreshold: must lie above 0, and be at most 1")]
#[case(json!({"kvCacheUtilThreshold": 1.1}), "kvCacheUtilThreshold: must lie above 0, and be at most 1")]
#[case(json!({"headroom": -0.1}), "headroom: must lie between 0 and 1e6: it is a part of the threshold, 0.2 for a fifth more")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    let error = build(KIND, parameters).err().unwrap().to_string();
    assert_eq!(error, format!("plugins[0].parameters.{message}"));
}

proptest! {
    #[test]
    fn the_published_rule_holds(
        rows in prop::collection::vec((prop::option::of(0..12_u8), prop::option::of(0..=10_u8)), 1..10),
        queue in 1..8_u32,
        kv in 1..=4_u8,
        headroom in 0..3_u8,
    ) {
        let (kv, headroom) = (f64::from(kv) / 4.0, f64::from(headroom) / 2.0);
        // Never equal to a threshold, where rounding would decide.
        let rows: Vec<_> = rows.iter().map(|&(q, u)| (q.map(|q| f32::from(q) + 0.3), u.map(|u| f32::from(u) / 10.7))).collect();
        let stays = |(q, u): &(Option<f32>, Option<f32>)| {
            q.is_some_and(|q| f64::from(q) < f64::from(queue) * (1.0 + headroom)) && u.is_some_and(|u| f64::from(u) < kv * (1.0 + headroom))
        };
        let mut expected: Vec<usize> = (0..rows.len()).filter(|&i| stays(&rows[i])).collect();
        if expected.is_empty() {
            expected = (0..rows.len()).collect();
        }
        let parameters = json!({"queueDepthThreshold": queue, "kvCacheUtilThreshold": kv, "headroom": headroom});
        prop_assert_eq!(kept(parameters, &rows), expected);
    }
}
