use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::document::{API_VERSIONS, canonical};
use super::*;
use crate::compile::read_document;

fn errors(text: &str) -> Vec<(String, ErrorKind, String)> {
    let errors = read_document(text).unwrap_err();
    errors.0.into_iter().map(|e| (e.path, e.kind, e.message)).collect()
}

fn error(path: &str, kind: ErrorKind, message: &str) -> (String, ErrorKind, String) {
    (path.to_owned(), kind, message.to_owned())
}

#[test]
fn both_api_versions_are_read_and_the_rest_is_the_routing() {
    for version in API_VERSIONS {
        let text =
            format!("apiVersion: {version}\nkind: EndpointPickerConfig\nplugins:\n- type: queue-scorer\n");
        assert_eq!(
            Document::parse(&text),
            Ok(Document { routing: json!({"plugins": [{"type": "queue-scorer"}]}) })
        );
    }
}

#[test]
fn json_is_read_too() {
    let text = r#"{"kind": "EndpointPickerConfig", "apiVersion": "llm-d.ai/v1alpha1"}"#;
    assert_eq!(Document::parse(text), Ok(Document { routing: json!({}) }));
}

const VERSION: &str = "must be llm-d.ai/v1alpha1 or inference.networking.x-k8s.io/v1alpha1";

#[test]
fn a_text_of_another_kind_is_refused_with_all_else_that_is_wrong_with_it() {
    assert_eq!(
        errors("apiVersion: v1\nkind: ConfigMap\nimmutable: true\n"),
        [
            error("apiVersion", ErrorKind::Invalid, &format!("{VERSION}, is \"v1\"")),
            error("kind", ErrorKind::Invalid, "must be EndpointPickerConfig, is \"ConfigMap\""),
            error(
                "immutable",
                ErrorKind::UnknownField,
                "unknown field; known here: plugins, schedulingProfiles, health, explain, models, trust, requestHandler, featureGates, dataLayer"
            ),
        ]
    );
    assert_eq!(
        errors("{}"),
        [
            error("apiVersion", ErrorKind::Missing, VERSION),
            error("kind", ErrorKind::Missing, "must be EndpointPickerConfig"),
        ]
    );
}

#[test]
fn errors_stand_in_the_order_of_the_text() {
    let text = "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
first: 1
second: 2
plugins: [{type: queue-scorer, third: 3}]
fourth: 4
";
    let routing = Document::parse(text).unwrap().routing;
    let errors = crate::compile::compile(&routing, Scope::File, &Default::default()).err().unwrap();
    let paths: Vec<_> = errors.0.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["first", "second", "plugins[0].third", "fourth"]);
}

#[rstest]
#[case::unclosed("plugins: [", "no YAML: line 1 column 10: unclosed bracket '['")]
#[case::twice(
    "a: 1\na: 2",
    "no YAML: line 2 column 1: duplicate mapping key: a, set DuplicateKeyPolicy in Options if acceptable"
)]
#[case::not_a_number(
    "a: .nan",
    "no YAML: line 1 column 4: non-finite float `.nan` rejected by the configured policy"
)]
#[case::two_documents(
    "a: 1\n---\nb: 2",
    "no YAML: line 3 column 1: multiple YAML documents detected; use from_str_multiple or from_str_multiple_with_options"
)]
#[case::list("- type: queue-scorer", "an EndpointPickerConfig is a mapping")]
#[case::empty("", "an EndpointPickerConfig is a mapping")]
fn a_text_that_is_no_mapping_is_refused_in_one_line(#[case] text: &str, #[case] message: &str) {
    assert_eq!(errors(text), [error("", ErrorKind::Syntax, message)]);
}

#[test]
fn errors_are_shown_with_their_paths() {
    let errors = read_document("apiVersion: v1\nkind: ConfigMap").unwrap_err();
    assert_eq!(
        errors.to_string(),
        format!("apiVersion: {VERSION}, is \"v1\"; kind: must be EndpointPickerConfig, is \"ConfigMap\"")
    );
}

#[test]
fn the_canonical_form_has_one_spelling_for_one_value() {
    let value = json!({"b": [1.0, 0.5, -0.0, 1e16, 1e-7, u64::MAX, i64::MIN], "a": {"ü\"": null, "d": true, "c": "é\n"}});
    let mut text = String::new();
    canonical(&value, &mut text);
    assert_eq!(
        text,
        "{\"a\":{\"c\":\"é\\n\",\"d\":true,\"ü\\\"\":null},\"b\":[1,0.5,0,10000000000000000,0.0000001,18446744073709551615,-9223372036854775808]}"
    );
}

/// Whatever this release does, an operator of one release and a picker of another must agree.
#[test]
fn revisions_are_the_same_in_every_release() {
    assert_eq!(revision(&json!({})), "1349cde127705c16");
    assert_eq!(revision(&crate::compile::default_routing()), "efecb7c6c0bcdf20");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1000..1000i32).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The same value as another writer would put it: fields the other way round, whole floats as integers.
fn rewritten(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(rewritten).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().rev().map(|(k, v)| (k.clone(), rewritten(v))).collect())
        }
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() && f.fract() == 0.0 && f.abs() < 1e15 => Value::from(f as i64),
            _ => value.clone(),
        },
        plain => plain.clone(),
    }
}

proptest! {
    #[test]
    fn a_revision_depends_on_the_value_alone(value in any_value()) {
        prop_assert_eq!(revision(&value), revision(&rewritten(&value)));
        let through_text: Value = serde_json::from_str(&value.to_string()).unwrap();
        prop_assert_eq!(revision(&value), revision(&through_text));
    }

    #[test]
    fn other_values_have_other_canonical_forms(a in any_value(), b in any_value()) {
        let form = |value: &Value| {
            let mut text = String::new();
            canonical(value, &mut text);
            text
        };
        prop_assert_eq!(form(&a) == form(&b), rewritten(&a) == rewritten(&b));
        // It is JSON, and says the same.
        prop_assert_eq!(form(&serde_json::from_str(&form(&a)).unwrap()), form(&a));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = Document::parse(&text);
    }
}
