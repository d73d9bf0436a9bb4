use rstest::rstest;
use serde_json::{Value, json};

use crate::request::Request;
use crate::testing::{Instance, view};
use crate::view::Signals;

const NAN: f32 = f32::NAN;

fn kept(more: Value, operator: &str, values: &[f32]) -> Vec<usize> {
    let mut parameters = json!({
        "attribute": "RunningRequestsSize",
        "algorithm": {"type": "threshold", "threshold": {"operator": operator, "value": 4.5}},
    });
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let running = |&value: &f32| Signals { running: Some(value), ..Signals::default() };
    let view = view(values.iter().map(running));
    Instance::new("endpoint-attribute-filter", parameters).unwrap().kept(&Request::default(), &view)
}

#[rstest]
#[case("LessThan", &[0])]
#[case("LessThanOrEqual", &[0, 1])]
#[case("GreaterThan", &[2])]
#[case("GreaterThanOrEqual", &[1, 2])]
#[case("Equal", &[1])]
#[case("NotEqual", &[0, 2])]
fn keeps_those_for_which_the_comparison_holds(#[case] operator: &str, #[case] expected: &[usize]) {
    assert_eq!(kept(json!({}), operator, &[4.0, 4.5, 5.0]), expected);
}

#[rstest]
#[case::by_default_it_passes(json!({}), &[0, 1])]
#[case(json!({"onMissing": "Pass"}), &[0, 1])]
#[case(json!({"onMissing": "Fail"}), &[0])]
fn a_missing_value_passes_or_fails(#[case] more: Value, #[case] expected: &[usize]) {
    assert_eq!(kept(more.clone(), "LessThan", &[4.0, NAN, 9.0]), expected);
    assert_eq!(kept(more.clone(), "NotEqual", &[4.0, NAN, 4.5]), expected);
}

#[rstest]
#[case::nothing_is_left(json!({"onMissing": "Fail"}), &[])]
#[case::all_stay(json!({"onMissing": "Fail", "fallbackOnEmpty": true}), &[0, 1, 2])]
#[case::what_is_missing_is_not_nothing(json!({"fallbackOnEmpty": true}), &[1])]
fn where_none_would_stay_all_may(#[case] more: Value, #[case] expected: &[usize]) {
    assert_eq!(kept(more, "LessThan", &[5.0, NAN, 9.0]), expected);
}

#[rstest]
#[case(json!({"attribute": ""}), "attribute: must not be empty")]
#[case(
    json!({"attribute": "a/b"}),
    "attribute: must be the name of the attribute alone; its producer stands in the parameter producer"
)]
#[case(json!({"onMissing": "pass"}), "onMissing: unknown variant `pass`, expected `Pass` or `Fail`")]
#[case(
    json!({"algorithm": {"type": "topK", "threshold": {"operator": "Equal", "value": 1}}}),
    "algorithm.type: unknown variant `topK`, expected `threshold`"
)]
#[case(
    json!({"algorithm": {"threshold": {"operator": "Equal", "value": 1e39}}}),
    "algorithm.threshold.value: must lie within ±3.4028235e38"
)]
fn wrong_parameters_are_named(#[case] more: Value, #[case] message: &str) {
    let mut parameters = json!({
        "attribute": "x",
        "algorithm": {"threshold": {"operator": "Equal", "value": 1}},
    });
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let error = Instance::new("endpoint-attribute-filter", parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{message}")));
}
