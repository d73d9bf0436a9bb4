use rstest::rstest;
use serde_json::{Value, json};

use crate::request::Request;
use crate::testing::{scores, strategy, view};
use crate::view::Signals;

const KIND: &str = "load-aware-scorer";

#[rstest]
#[case::none_waits(json!({}), &[Some(0.0), Some(0.0)], &[0.5, 0.5])]
#[case::default_threshold(json!({}), &[Some(0.0), Some(32.0), Some(64.0), Some(128.0)], &[0.5, 0.375, 0.25, 0.0])]
#[case::no_threshold(json!({"threshold": 0}), &[Some(32.0)], &[0.375])]
#[case::above_the_threshold(json!({"threshold": 10}), &[Some(5.0), Some(10.0), Some(11.0), Some(1e9)], &[0.25, 0.0, 0.0, 0.0])]
#[case::not_relative_to_the_others(json!({"threshold": 10}), &[Some(4.0), Some(5.0)], &[0.3, 0.25])]
#[case::unknown_is_the_mean(json!({"threshold": 10}), &[Some(0.0), None, Some(10.0)], &[0.5, 0.25, 0.0])]
#[case::all_unknown(json!({}), &[None, None], &[0.5, 0.5])]
fn scores_by_waiting_requests(
    #[case] parameters: Value,
    #[case] waiting: &[Option<f32>],
    #[case] expected: &[f32],
) {
    let view = view(waiting.iter().map(|&waiting| Signals { waiting, ..Signals::default() }));
    assert_eq!(scores(KIND, parameters, &Request::default(), &view), expected);
}

#[test]
fn a_threshold_of_nothing_is_the_default() {
    let routing = json!({"plugins": [{"type": KIND, "parameters": {"threshold": 0}}]});
    let warnings =
        strategy(&routing.to_string()).warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected =
        "plugins[0].parameters.threshold: 0 counts as the default, 128; leave it out, or write that";
    assert_eq!(warnings, [expected]);
}
