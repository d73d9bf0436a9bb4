use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::{build, labelled, scores, with_headers};

const KIND: &str = "header-label-affinity-scorer";
const PODS: [&[(&str, &str)]; 3] = [&[("slice", "a")], &[("slice", "b"), ("other", "a")], &[]];

#[rstest]
#[case(&[("x-slice", "a")], [1.0, 0.0, 0.0])]
#[case(&[("x-slice", "b")], [0.0, 1.0, 0.0])]
#[case::no_pod_has_it(&[("x-slice", "c")], [0.0; 3])]
#[case::an_empty_value_is_none(&[("x-slice", "")], [0.0; 3])]
#[case::without_the_header(&[("x-other", "a")], [0.0; 3])]
fn pods_with_the_value_of_the_header_are_best(#[case] headers: &[(&str, &str)], #[case] expected: [f32; 3]) {
    let parameters = json!({"headerName": "X-Slice", "labelKey": "slice"});
    assert_eq!(scores(KIND, parameters, &with_headers(headers.iter().copied()), &labelled(PODS)), expected);
}

#[rstest]
#[case(json!({"headerName": "x y", "labelKey": "slice"}), "plugins[0].parameters.headerName: ")]
#[case(json!({"headerName": "x", "labelKey": ""}), "plugins[0].parameters.labelKey: must be the name of a label")]
#[case(json!({"headerName": "x"}), "plugins[0].parameters.labelKey: is required")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    assert!(build(KIND, parameters.clone()).err().unwrap().to_string().starts_with(message), "{parameters}");
}

proptest! {
    #[test]
    fn the_published_rule_holds(pods in prop::collection::vec(prop::option::of("[ab]{0,2}"), 1..10), header in prop::option::of("[ab]{1,2}")) {
        let labels: Vec<Vec<(&str, &str)>> =
            pods.iter().map(|value| value.as_deref().map(|value| ("l", value)).into_iter().collect()).collect();
        let request = with_headers(header.as_deref().map(|value| ("h", value)));
        let parameters = json!({"headerName": "h", "labelKey": "l"});
        let found = scores(KIND, parameters, &request, &labelled(labels.iter().map(Vec::as_slice)));
        let expected: Vec<f32> =
            pods.iter().map(|value| if header.is_some() && *value == header { 1.0 } else { 0.0 }).collect();
        prop_assert_eq!(found, expected);
    }
}
