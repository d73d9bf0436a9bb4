use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::request::Request;
use crate::testing::{Instance, build, labelled};

const PODS: [&[(&str, &str)]; 4] = [&[("role", "a")], &[("role", "b")], &[], &[("other", "a"), ("role", "")]];

#[rstest]
#[case(json!({"label": "role", "validValues": ["a", "c"]}), &[0])]
#[case(json!({"label": "role", "validValues": ["b"], "allowsNoLabel": true}), &[1, 2])]
#[case(json!({"label": "role", "allowsNoLabel": true}), &[2])]
#[case::an_empty_value_is_one(json!({"label": "role", "validValues": [""]}), &[3])]
fn those_with_a_value_are_kept(#[case] parameters: Value, #[case] kept: &[usize]) {
    let view = labelled(PODS);
    assert_eq!(Instance::new("by-label", parameters).unwrap().kept(&Request::default(), &view), kept);
}

#[rstest]
#[case(json!({}), "plugins[0].parameters.label: is required")]
#[case(json!({"label": ""}), "plugins[0].parameters.label: must be the name of a label")]
#[case(
    json!({"label": "role"}),
    "plugins[0].parameters.validValues: must have at least one value, unless allowsNoLabel is true: no pod would be kept"
)]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    assert!(
        build("by-label", parameters.clone()).err().unwrap().to_string().starts_with(message),
        "{parameters}"
    );
}

proptest! {
    /// As the published rule says it: the value is in the list, or there is none and that is allowed.
    #[test]
    fn the_published_rule_holds(pods in prop::collection::vec(prop::option::of(0..4_usize), 1..12), valid in 0..16_u8, none in any::<bool>()) {
        const VALUES: [&str; 4] = ["a", "b", "", "d"];
        let labels: Vec<Vec<(&str, &str)>> =
            pods.iter().map(|value| value.map(|v| ("l", VALUES[v])).into_iter().collect()).collect();
        let view = labelled(labels.iter().map(Vec::as_slice));
        let wanted: Vec<&str> = (0..4).filter(|v| valid >> v & 1 == 1).map(|v| VALUES[v]).collect();
        prop_assume!(none || !wanted.is_empty());
        let parameters = json!({"label": "l", "validValues": wanted, "allowsNoLabel": none});
        let kept = Instance::new("by-label", parameters).unwrap().kept(&Request::default(), &view);
        let expected: Vec<usize> = (0..pods.len())
            .filter(|&i| match pods[i] { Some(v) => wanted.contains(&VALUES[v]), None => none })
            .collect();
        prop_assert_eq!(kept, expected);
    }
}
