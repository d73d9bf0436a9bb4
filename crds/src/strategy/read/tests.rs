use kube::ResourceExt as _;
use kube::api::{ObjectList, WatchEvent};
use kube_ext::partial_object::PartialObject;

use super::*;

fn strategy(parameters: &str, binding: &str) -> String {
    format!(
        r#"{{"apiVersion":"waypost.dev/v1alpha1","kind":"RoutingStrategy",
            "metadata":{{"name":"chat","namespace":"llm"}},"spec":{{"pools":[{{"name":"qwen"}}],"binding":"{binding}",
            "routing":{{"plugins":[{{"type":"a","parameters":{parameters}}}]}},
            "picker":{{"replicas":3,"podTemplate":{{"x":1}}}}}}}}"#
    )
}

fn deep() -> String {
    format!("{}{}", r#"{"a":"#.repeat(200), "1".to_owned() + &"}".repeat(200))
}

/// Pickers are not built without it: it is marked, and refused by its mark.
#[test]
fn a_pod_template_that_cannot_be_read_is_no_empty_one() {
    let text = strategy("{}", "Takeover").replace(r#"{"x":1}"#, &deep());
    let read = RoutingStrategy::read(&text).unwrap();
    assert_eq!(read.spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
    let mark = read.spec.picker.pod_template["unreadable"].as_str().unwrap();
    assert!(mark.starts_with("unreadable: recursion limit exceeded"), "{mark}");
    let text = text.replace(r#""parameters":{}"#, &format!(r#""parameters":{}"#, deep()));
    let read = RoutingStrategy::read(&text).unwrap();
    assert!(read.spec.routing.0.is_string() && read.spec.picker.pod_template.contains_key("unreadable"));
}

#[test]
fn one_unreadable_strategy_hides_no_other() {
    let list = format!(
        r#"{{"apiVersion":"waypost.dev/v1alpha1","kind":"RoutingStrategyList","metadata":{{}},"items":[{},{},{}]}}"#,
        strategy("{}", "Takeover"),
        strategy(&deep(), "Observe"),
        strategy("{}", "FromTheFuture"),
    );
    let list: ObjectList<PartialObject<RoutingStrategy>> = serde_json::from_str(&list).unwrap();
    let read: Vec<_> = list.items.iter().map(|item| item.object.as_ref().ok()).collect();
    assert_eq!(read[0].unwrap().spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
    let salvaged = &read[1].unwrap().spec;
    assert!(salvaged.routing.0.as_str().unwrap().starts_with("unreadable: recursion limit exceeded"));
    assert_eq!(salvaged.picker.replicas, Some(3));
    assert_eq!(Value::from(salvaged.picker.pod_template.clone()), json!({"x": 1}));
    assert_eq!(read[2], None);
    assert_eq!(list.items[2].name_any(), "chat");
}

#[test]
fn a_routing_that_is_too_long_is_not_read() {
    let read = |bytes: usize| {
        let parameters = format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes));
        RoutingStrategy::read(&strategy(&parameters, "Takeover")).unwrap().spec.routing.0
    };
    assert!(read(MAX_ROUTING - 100).is_object());
    let refused = read(MAX_ROUTING);
    assert!(refused.as_str().unwrap().starts_with("too long: 262"), "{refused}");
}

fn template_of(text: &str) -> Option<String> {
    unreadable(&RoutingStrategy::read(text).unwrap().spec.picker.pod_template).map(str::to_owned)
}

#[test]
fn a_pod_template_that_is_too_large_is_not_read() {
    let with = |template: &str| strategy("{}", "Takeover").replace(r#"{"x":1}"#, template);
    let long = |bytes: usize| with(&format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes)));
    assert_eq!(template_of(&long(MAX_POD_TEMPLATE - 8)), None);
    let why = "too long: 32769 bytes, more than 32768".to_owned();
    assert_eq!(template_of(&long(MAX_POD_TEMPLATE - 7)), Some(why));
    let many = |count: usize| with(&format!(r#"{{"x":[{}]}}"#, vec!["1"; count].join(",")));
    assert_eq!(template_of(&many(2000)), None);
    assert_eq!(template_of(&many(3000)), Some("too large: 3003 values, more than 2048".to_owned()));
    // The routing stays as it is.
    let read = RoutingStrategy::read(&many(3000)).unwrap();
    assert_eq!(read.spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
}

#[test]
fn a_routing_of_very_many_values_is_not_read() {
    let parameters = |count: usize| format!(r#"{{"x":[{}]}}"#, vec!["{}"; count].join(","));
    let read =
        |count| RoutingStrategy::read(&strategy(&parameters(count), "Takeover")).unwrap().spec.routing.0;
    assert!(read(8000).is_object());
    assert_eq!(read(10_000), json!("too large: 20010 values, more than 16384"));
}

#[test]
fn values_are_counted_outside_of_texts() {
    assert_eq!(values(r#"{"a:,[{":"\",[{:","b":[1,2,{"c":null}]}"#), 10);
}

#[test]
fn of_the_metadata_only_what_is_used_stays() {
    let metadata =
        r#""name":"chat","generation":3,"finalizers":["a/b"],"labels":{"a":"b"},"annotations":{"c":"d"}"#;
    let text = strategy("{}", "Takeover").replace(r#""name":"chat""#, metadata);
    let read = RoutingStrategy::read(&text).unwrap().metadata;
    let kept = (read.name.as_deref(), read.namespace.as_deref(), read.generation, read.finalizers);
    assert_eq!(kept, (Some("chat"), Some("llm"), Some(3), Some(vec!["a/b".to_owned()])));
    assert_eq!((read.labels, read.annotations), (None, None));
}

#[test]
fn a_strategy_that_is_large_elsewhere_is_left_alone() {
    let finalizers = format!(r#""name":"chat","finalizers":["{}"]"#, "x".repeat(MAX_REST));
    let text = strategy("{}", "Takeover").replace(r#""name":"chat""#, &finalizers);
    let why = RoutingStrategy::read(&text).unwrap_err();
    assert!(why.starts_with("without routing and pod template too long: 131"), "{why}");
}

#[test]
fn events_may_be_readable_in_part_too() {
    let event = format!(r#"{{"type":"MODIFIED","object":{}}}"#, strategy(&deep(), "Takeover"));
    let event: WatchEvent<PartialObject<RoutingStrategy>> = serde_json::from_str(&event).unwrap();
    let WatchEvent::Modified(item) = event else { panic!("{event:?}") };
    assert!(item.object.is_ok());
}

#[test]
fn fields_of_managers_hide_nothing_however_deep() {
    let managers = format!(r#""name":"chat","managedFields":[{{"fieldsV1":{}}}]"#, deep());
    let text = strategy("{}", "Takeover").replace(r#""name":"chat""#, &managers);
    let read = RoutingStrategy::read(&text).unwrap();
    assert_eq!((read.name_any().as_str(), read.metadata.managed_fields), ("chat", None));
    assert_eq!(read.spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
}
