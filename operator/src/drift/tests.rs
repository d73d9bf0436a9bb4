use rstest::rstest;
use serde_json::json;

use super::values::quantity;
use super::*;

#[rstest]
#[case::defaults_are_others(json!({"a": 1, "b": 2}), json!({"a": 1}), None)]
#[case::changed(json!({"a": {"b": 2}}), json!({"a": {"b": 1}}), Some("a.b"))]
#[case::gone(json!({}), json!({"a": {"b": 1}}), Some("a"))]
#[case::emptied(json!({"a": "x"}), json!({"a": ""}), Some("a"))]
#[case::nothing_is_nothing(json!({}), json!({"a": {"b": [], "c": null, "d": false}}), None)]
#[case::lists_are_whole(json!({"args": ["a", "b"]}), json!({"args": ["a"]}), Some("args"))]
#[case::order_counts(json!({"args": ["b", "a"]}), json!({"args": ["a", "b"]}), Some("args[0]"))]
#[case::keyed_lists_are_whole(
    json!({"env": [{"name": "X", "value": "1"}, {"name": "A", "value": "2"}]}),
    json!({"env": [{"name": "A", "value": "2"}]}),
    Some("env")
)]
#[case::keyed_lists_have_no_order(
    json!({"env": [{"name": "X", "value": "1"}, {"name": "A", "value": "2", "other": 3}]}),
    json!({"env": [{"name": "A", "value": "2"}, {"name": "X", "value": "1"}]}),
    None
)]
#[case::maps_are_shared(json!({"annotations": {"a": "1", "b": "2"}}), json!({"annotations": {"a": "1"}}), None)]
#[case::selectors_are_whole(json!({"selector": {"a": "1", "b": "2"}}), json!({"selector": {"a": "1"}}), Some("selector.b"))]
#[case::keyed_entry_changed(
    json!({"env": [{"name": "A", "value": "3"}]}),
    json!({"env": [{"name": "A", "value": "2"}]}),
    Some("env[A].value")
)]
#[case::keyed_entry_gone(json!({"env": [{"name": "X"}]}), json!({"env": [{"name": "A"}]}), Some("env[A]"))]
#[case::quantities(
    json!({"cpu": "500m", "memory": "1536Mi"}),
    json!({"cpu": "0.5", "memory": "1.5Gi"}),
    None
)]
#[case::other_quantity(json!({"cpu": "500m"}), json!({"cpu": "0.6"}), Some("cpu"))]
#[case::rules_are_whole(
    json!({"rules": [{"resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}]}),
    json!({"rules": [{"resources": ["pods"], "verbs": ["get"]}]}),
    Some("rules[0].resourceNames")
)]
#[case::subjects_are_whole(
    json!({"subjects": [{"kind": "ServiceAccount", "name": "a"}, {"kind": "User", "name": "b"}]}),
    json!({"subjects": [{"kind": "ServiceAccount", "name": "a"}]}),
    Some("subjects")
)]
#[case::nothing_more_is_whole(
    json!({"subjects": [{"kind": "ServiceAccount", "name": "a", "apiGroup": ""}]}),
    json!({"subjects": [{"kind": "ServiceAccount", "name": "a"}]}),
    None
)]
#[case::empty_labels_select(json!({"selector": {"a": "1", "b": ""}}), json!({"selector": {"a": "1"}}), Some("selector.b"))]
#[case::a_selector_more_means_other_peers(
    json!({"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "1"}}, "namespaceSelector": {}}]}]}}),
    json!({"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "1"}}}]}]}}),
    Some("spec.ingress[0].from[0].namespaceSelector")
)]
#[case::an_empty_selector_less_too(
    json!({"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "1"}}}]}]}}),
    json!({"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "1"}}, "namespaceSelector": {}}]}]}}),
    Some("spec.ingress[0].from[0].namespaceSelector")
)]
#[case::empty_selectors_are_the_same(
    json!({"spec": {"ingress": [{"from": [{"namespaceSelector": {}}]}]}}),
    json!({"spec": {"ingress": [{"from": [{"namespaceSelector": {}}]}]}}),
    None
)]
#[case::more_ports(
    json!({"spec": {"ingress": [{"ports": [{"port": 9002, "protocol": "TCP", "endPort": 9999}]}]}}),
    json!({"spec": {"ingress": [{"ports": [{"port": 9002, "protocol": "TCP"}]}]}}),
    Some("spec.ingress[0].ports[9002].endPort")
)]
#[case::all_ports(
    json!({"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}}),
    json!({"spec": {"ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 9002}]}]}}),
    Some("spec.ingress[0].ports")
)]
#[case::everybody(
    json!({"spec": {"ingress": [{"ports": [{"port": 9002}]}]}}),
    json!({"spec": {"ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 9002}]}]}}),
    Some("spec.ingress[0].from")
)]
#[case::fewer_pods(
    json!({"spec": {"podSelector": {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}}}),
    json!({"spec": {"podSelector": {"matchLabels": {"a": "1"}}}}),
    Some("spec.podSelector.matchExpressions")
)]
fn finds_the_first_difference(#[case] live: Value, #[case] wanted: Value, #[case] path: Option<&str>) {
    assert_eq!(differs("", &live, &wanted).as_deref(), path);
}

fn object(labels: &[(&str, &str)], data: Value) -> DynamicObject {
    let mut object: DynamicObject = serde_json::from_value(json!({"metadata": {"name": "x"}})).unwrap();
    object.metadata.labels = Some(labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
    object.data = data;
    object
}

#[test]
fn a_field_taken_out_shows_in_the_seal() {
    let mut before = object(&[("a", "1")], json!({"spec": {"x": 1, "y": 2}}));
    let mut after = object(&[("a", "1")], json!({"spec": {"x": 1}}));
    seal(&mut before);
    seal(&mut after);
    assert_eq!(find(&before, &before), None);
    assert_eq!(find(&before, &after).as_deref(), Some("metadata.annotations.waypost.dev/applied"));
}

#[test]
fn a_seal_depends_on_the_content_alone() {
    let mut once = object(&[], json!({"spec": {"x": 1}}));
    seal(&mut once);
    let mut twice = once.clone();
    seal(&mut twice);
    assert_eq!(twice, once);
}

#[test]
fn labels_of_others_are_left() {
    let mut wanted = object(&[("a", "1")], json!({}));
    seal(&mut wanted);
    let mut live = wanted.clone();
    live.metadata.labels.as_mut().unwrap().insert("theirs".into(), "2".into());
    assert_eq!(find(&live, &wanted), None);
    live.metadata.labels.as_mut().unwrap().insert("a".into(), "3".into());
    assert_eq!(find(&live, &wanted).as_deref(), Some("metadata.labels.a"));
}

#[rstest]
#[case("1", Some(1000))]
#[case("100m", Some(100))]
#[case("0.1", Some(100))]
#[case("1Ki", Some(1_024_000))]
#[case("0.0001", Some(1))]
#[case("v1.2.3", None)]
#[case("Always", None)]
#[case("", None)]
fn reads_quantities(#[case] text: &str, #[case] thousandths: Option<i128>) {
    assert_eq!(quantity(text), thousandths);
}
