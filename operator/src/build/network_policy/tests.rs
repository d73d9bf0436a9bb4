use crds::{PickerSpec, PoolGroup};
use rstest::rstest;

use super::*;
use crate::build::testing;

/// The objects of pickers with this `spec.picker.networkPolicy`, and what the strategy asks for besides it.
fn built(policy: Value, mut picker: Value) -> Result<Vec<Object>, String> {
    picker["networkPolicy"] = policy;
    let picker: PickerSpec = serde_json::from_value(picker).unwrap();
    testing::built("qwen", PoolGroup::V1, "qwen-picker", &picker, &testing::defaults())
        .map_err(|error| error.to_string())
}

fn find(objects: &[Object], kind: Kind) -> Option<&Object> {
    objects.iter().find(|object| object.kind == kind)
}

#[test]
fn gateways_may_ask_and_prometheus_may_read() {
    let gateways = json!([
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}},
            "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["envoy"]}]}},
        {"podSelector": {}},
    ]);
    let metrics =
        json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    let objects = built(json!({"gateways": gateways, "metrics": metrics}), json!({})).unwrap();
    let policy = find(&objects, Kind::NetworkPolicy).unwrap();
    insta::assert_snapshot!(serde_saphyr::to_string(&policy.content).unwrap());
}

#[test]
fn nobody_reads_metrics_where_none_are_named() {
    let gateways = json!([{"namespaceSelector": {}}]);
    for policy in [json!({"gateways": gateways}), json!({"gateways": gateways, "metrics": []})] {
        let objects = built(policy, json!({})).unwrap();
        let ports = json!([{"port": 9002, "protocol": "TCP"}, {"port": 9003, "protocol": "TCP"}]);
        assert_eq!(
            find(&objects, Kind::NetworkPolicy).unwrap().content.data["spec"]["ingress"],
            json!([{"from": gateways, "ports": ports}])
        );
    }
}

/// By the labels that the Deployment gives its pods, whatever the strategy's author writes.
#[test]
fn the_policy_of_a_strategy_selects_its_own_pickers() {
    let template = json!({"metadata": {"labels": {"app": "other", "team": "llm"}}});
    let objects =
        built(json!({"gateways": [{"podSelector": {}}]}), json!({"podTemplate": template})).unwrap();
    let selected = &find(&objects, Kind::NetworkPolicy).unwrap().content.data["spec"]["podSelector"];
    let own =
        json!({"app.kubernetes.io/name": "waypost-picker", "app.kubernetes.io/instance": "qwen-picker"});
    assert_eq!(*selected, json!({"matchLabels": own}));
    let deployment = &find(&objects, Kind::Deployment).unwrap().content.data["spec"];
    assert_eq!(deployment["selector"], *selected);
    let labels = deployment["template"]["metadata"]["labels"].as_object().unwrap();
    assert!(own.as_object().unwrap().iter().all(|(name, value)| labels[name] == *value));
}

/// Pickers are never there without it.
#[test]
fn the_policy_is_made_before_the_pods() {
    let objects = built(json!({"gateways": [{"podSelector": {}}]}), json!({})).unwrap();
    let kinds: Vec<_> = objects.iter().map(|object| object.kind).collect();
    let at = |kind| kinds.iter().position(|other| *other == kind).unwrap();
    assert!(at(Kind::NetworkPolicy) < at(Kind::Deployment), "{kinds:?}");
    assert!(Kind::NetworkPolicy < Kind::Deployment, "and goes after them");
    assert_eq!(find(&built(Value::Null, json!({})).unwrap(), Kind::NetworkPolicy), None);
}

#[rstest]
#[case::nobody(json!({"gateways": []}), "gateways: name at least one; without any, no request reaches a picker")]
#[case::no_peer(
    json!({"gateways": [{"podSelector": {}}, {}]}), "gateways[1]: give namespaceSelector, podSelector or both"
)]
#[case::no_peer_of_metrics(
    json!({"gateways": [{"podSelector": {}}], "metrics": [{}]}),
    "metrics[0]: give namespaceSelector, podSelector or both"
)]
#[case::key(
    json!({"gateways": [{"namespaceSelector": {"matchLabels": {"a b": "c"}}}]}),
    "gateways[0].namespaceSelector.matchLabels: \"a b\" can't be the key of a label"
)]
#[case::value(
    json!({"gateways": [{"podSelector": {"matchLabels": {"app": "-x"}}}]}),
    "gateways[0].podSelector.matchLabels[app]: \"-x\" can't be the value of a label"
)]
#[case::key_of_an_expression(
    json!({"gateways": [{"podSelector": {"matchExpressions": [{"key": "Example.com/a", "operator": "Exists"}]}}]}),
    "gateways[0].podSelector.matchExpressions[0].key: \"Example.com/a\" can't be the key of a label"
)]
#[case::value_of_an_expression(
    json!({"gateways": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "x/y"]}]}}]}),
    "gateways[0].podSelector.matchExpressions[0].values[1]: \"x/y\" can't be the value of a label"
)]
#[case::operator(
    json!({"metrics": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["x"]}]}}],
        "gateways": [{"podSelector": {}}]}),
    "metrics[0].podSelector.matchExpressions[0]: operator is In or NotIn with values, or Exists or DoesNotExist \
     without any"
)]
#[case::no_values(
    json!({"gateways": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn"}]}}]}),
    "gateways[0].podSelector.matchExpressions[0]: operator is In or NotIn with values, or Exists or DoesNotExist \
     without any"
)]
fn what_is_no_peer_is_refused_by_the_name_of_its_field(#[case] policy: Value, #[case] why: &str) {
    assert_eq!(built(policy, json!({})), Err(format!("spec.picker.networkPolicy.{why}")));
}

#[test]
fn labels_have_the_form_that_kubernetes_asks_for() {
    let long = "a".repeat(63);
    let keys = ["a", "A.b_c-9", "example.com/a", "kubernetes.io/metadata.name", long.as_str()];
    assert_eq!(keys.map(is_key), [true; 5]);
    let longer = "a".repeat(64);
    let none =
        ["", "/a", "a/", "a/b/c", "-a", "a-", "a b", "é", "A.com/a", "a..b/c", "-a.b/c", longer.as_str()];
    assert_eq!(none.map(is_key), [false; 12]);
}
