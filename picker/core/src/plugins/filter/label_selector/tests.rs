use std::sync::Arc;

use serde_json::{Value, json};

use crate::endpoint::Slots;
use crate::request::Request;
use crate::testing::{Instance, build, spec, view_of};
use crate::view::View;

/// Three pods: decode in zone a, prefill in zone b, and one without labels.
fn pods() -> View {
    let mut slots = Slots::default();
    let labels = [
        vec![("llm-d.ai/role", "decode"), ("zone", "a")],
        vec![("llm-d.ai/role", "prefill"), ("zone", "b")],
        vec![],
    ];
    view_of(labels.into_iter().zip(0..).map(|(labels, n)| {
        let mut spec = spec(n);
        spec.labels = labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Arc::new(slots.admit(spec))
    }))
}

fn kept(selector: Value) -> Vec<usize> {
    Instance::new("label-selector-filter", selector).unwrap().kept(&Request::default(), &pods())
}

#[test]
fn keeps_the_pods_that_meet_all_requirements() {
    let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    for (selector, expected) in [
        (json!({}), vec![0, 1, 2]),
        (json!({"matchLabels": {"llm-d.ai/role": "decode"}}), vec![0]),
        (json!({"matchLabels": {"llm-d.ai/role": "decode", "zone": "b"}}), vec![]),
        (expression("zone", "In", &["a", "b"]), vec![0, 1]),
        (expression("zone", "In", &["c"]), vec![]),
        (expression("zone", "NotIn", &["a"]), vec![1, 2]),
        (expression("zone", "Exists", &[]), vec![0, 1]),
        (expression("zone", "DoesNotExist", &[]), vec![2]),
        (
            json!({
                "matchLabels": {"zone": "b"},
                "matchExpressions": [{"key": "llm-d.ai/role", "operator": "NotIn", "values": ["decode"]}],
            }),
            vec![1],
        ),
    ] {
        assert_eq!(kept(selector.clone()), expected, "{selector}");
    }
}

#[test]
fn follows_changes_of_labels_and_of_endpoints() {
    let mut filter =
        Instance::new("label-selector-filter", json!({"matchLabels": {"role": "decode"}})).unwrap();
    let mut kept = |view: &View| filter.kept(&Request::default(), view);
    let mut slots = Slots::default();
    let labelled = |n, role: &str| {
        let mut spec = spec(n);
        spec.labels.insert("role".to_owned(), role.to_owned());
        spec
    };
    let [a, b, c] = [(0, "decode"), (1, "prefill"), (2, "decode")]
        .map(|(n, role)| Arc::new(slots.admit(labelled(n, role))));
    let changed = Arc::new(b.revised(labelled(1, "decode")));
    let before = view_of([a.clone(), b]);
    assert_eq!([kept(&before), kept(&before)], [[0], [0]]);
    assert_eq!(kept(&view_of([a.clone(), changed.clone()])), [0, 1]);
    assert_eq!(kept(&view_of([changed, a, c])), [0, 1, 2]);
    assert_eq!(kept(&View::empty()), [0_usize; 0]);
    assert_eq!(kept(&before), [0]);
}

#[test]
fn names_what_is_wrong_with_a_selector() {
    for (selector, path, says) in [
        (json!({"matchLabels": {"a b": "c"}}), "matchLabels.a b", "no label key"),
        (json!({"matchLabels": {"Up.Er/name": "c"}}), "matchLabels.Up.Er/name", "DNS subdomain"),
        (json!({"matchLabels": {"zone": "a b"}}), "matchLabels.zone", "no label value"),
        (json!({"matchLabels": {"zone": true}}), "matchLabels.zone", "expected a string"),
        (
            json!({"matchExpressions": [{"key": "", "operator": "Exists"}]}),
            "matchExpressions[0].key",
            "no label key",
        ),
        (
            json!({"matchExpressions": [{"key": "zone", "operator": "In"}]}),
            "matchExpressions[0].values",
            "at least one value for the operator In",
        ),
        (
            json!({"matchExpressions": [{"key": "zone", "operator": "Exists", "values": ["a"]}]}),
            "matchExpressions[0].values",
            "must be empty for the operator Exists",
        ),
        (
            json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a", "-b"]}]}),
            "matchExpressions[0].values[1]",
            "no label value",
        ),
        (
            json!({"matchExpressions": [{"key": "zone", "operator": "Like"}]}),
            "matchExpressions[0].operator",
            "unknown variant `Like`",
        ),
        (json!({"matchExpressions": [{"key": "zone"}]}), "matchExpressions[0].operator", "is required"),
    ] {
        let error =
            build("label-selector-filter", selector.clone()).err().unwrap_or_else(|| panic!("{selector}"));
        assert_eq!(error.path, format!("plugins[0].parameters.{path}"), "{selector}");
        assert!(error.message.contains(says), "{selector}: {error}");
    }
}

#[test]
fn knows_what_a_label_may_be() {
    use crate::plugins::label_selector::syntax::{key, value};
    let long = "x".repeat(63);
    for good in ["a", "A-b_c.9", "example.com/a", "a.b-c.d/x", long.as_str()] {
        assert_eq!(key(good), Ok(()), "{good}");
    }
    let too_long = "x".repeat(64);
    for bad in ["", "-a", "a-", "a/b/c", "/a", "a/", "a..b/c", "-a/b", "ä", too_long.as_str()] {
        assert!(key(bad).is_err(), "{bad}");
    }
    assert_eq!((value(""), value("v1.2"), value(&long)), (Ok(()), Ok(()), Ok(())));
    assert!(value(&too_long).is_err() && value("a b").is_err() && value(".a").is_err());
}
