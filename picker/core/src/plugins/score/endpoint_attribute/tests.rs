use rstest::rstest;
use serde_json::{Value, json};

use crate::request::Request;
use crate::testing::{Instance, scores, view};
use crate::view::Signals;

const NAN: f32 = f32::NAN;

fn scored(kind: &str, normalization: Value, values: &[f32]) -> Vec<f32> {
    let algorithm = json!({"type": kind, "normalization": normalization});
    let parameters = json!({"attributeKey": "WaitingQueueSize", "algorithm": algorithm});
    let waiting = |&value: &f32| Signals { waiting: Some(value), ..Signals::default() };
    scores("endpoint-attribute-scorer", parameters, &Request::default(), &view(values.iter().map(waiting)))
}

#[rstest]
#[case(&[2.0, 4.0, 10.0], &[0.0, 0.25, 1.0])]
#[case::negative_ones(&[-4.0, -2.0, 0.0], &[0.0, 0.5, 1.0])]
#[case::a_missing_one_gets_0(&[2.0, NAN, 10.0], &[0.0, 0.0, 1.0])]
#[case::equal_ones_get_1(&[3.0, 3.0, NAN], &[1.0, 1.0, 0.0])]
#[case::all_missing(&[NAN, NAN], &[0.0, 0.0])]
#[case::infinity_is_missing(&[f32::INFINITY, 1.0, 2.0], &[0.0, 0.0, 1.0])]
#[case::as_far_apart_as_can_be(&[f32::MIN, 0.0, f32::MAX], &[0.0, 0.5, 1.0])]
fn in_the_range_of_the_candidates(#[case] values: &[f32], #[case] expected: &[f32]) {
    for adaptive in [json!({}), json!({"adaptiveRange": {}})] {
        assert_eq!(scored("linear_higher_is_better", adaptive.clone(), values), expected);
        let known = |(value, score): (&f32, &f32)| match (value.is_finite(), values.len()) {
            (false, _) => 0.0,
            // Equal ones get 1 whichever end is better.
            _ if values[0] == values[1] => 1.0,
            _ => 1.0 - score,
        };
        let turned: Vec<_> = values.iter().zip(expected).map(known).collect();
        assert_eq!(scored("linear_lower_is_better", adaptive, values), turned);
    }
}

#[rstest]
#[case("linear_higher_is_better", &[0.0, 0.0, 0.25, 1.0, 1.0, 0.0])]
#[case("linear_lower_is_better", &[1.0, 1.0, 0.75, 0.0, 0.0, 0.0])]
fn in_a_fixed_range(#[case] kind: &str, #[case] expected: &[f32]) {
    let range = json!({"fixedRange": {"min": 10, "max": 50}});
    assert_eq!(scored(kind, range, &[0.0, 10.0, 20.0, 50.0, 90.0, NAN]), expected);
}

#[test]
fn without_a_normalization_it_is_the_range_of_the_candidates() {
    let parameters =
        json!({"attributeKey": "WaitingQueueSize", "algorithm": {"type": "linear_lower_is_better"}});
    let view = view([1.0, 5.0].map(|v| Signals { waiting: Some(v), ..Signals::default() }));
    assert_eq!(scores("endpoint-attribute-scorer", parameters, &Request::default(), &view), [1.0, 0.0]);
}

#[rstest]
#[case(
    json!({"type": "linear"}),
    "algorithm.type: unknown variant `linear`, expected `linear_lower_is_better` or `linear_higher_is_better`"
)]
#[case(json!({}), "algorithm.type: is required")]
#[case(
    json!({"type": "linear_lower_is_better", "normalization": {"fixedRange": {"min": 1, "max": 1}}}),
    "algorithm.normalization.fixedRange: its min must be less than its max"
)]
#[case(
    json!({"type": "linear_lower_is_better", "normalization": {"fixedRange": {"min": 0, "max": 1e39}}}),
    "algorithm.normalization.fixedRange: its ends must lie within ±3.4028235e38"
)]
#[case(
    json!({"type": "linear_lower_is_better", "normalization": {"fixedRange": {"min": 0, "max": 1}, "adaptiveRange": {}}}),
    "algorithm.normalization: has both fixedRange and adaptiveRange; leave one out"
)]
fn wrong_parameters_are_named(#[case] algorithm: Value, #[case] message: &str) {
    let parameters = json!({"attributeKey": "x", "algorithm": algorithm});
    let error = Instance::new("endpoint-attribute-scorer", parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{message}")));
}
