use bytes::Bytes;
use crds::PoolGroup;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::deep_json::deep;

fn pool() -> PoolRef {
    PoolRef { group: PoolGroup::V1, namespace: "llm".to_owned(), name: "qwen".to_owned() }
}

fn object(name: &str, spec: Value) -> RawObject {
    let metadata = json!({"name": name, "managedFields": [{"fieldsV1": deep()}]});
    serde_json::from_str(&json!({"metadata": metadata, "spec": spec, "status": deep()}).to_string()).unwrap()
}

fn objective(name: &str, priority: i32) -> RawObject {
    object(name, json!({"priority": priority, "poolRef": {"name": "qwen"}}))
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Headers(pairs.iter().map(|&(name, value)| (bytes(name), bytes(value))).collect())
}

/// What is known after `events`, and which of them changed something.
fn after<const N: usize>(known: &mut Objectives, events: [Event<RawObject>; N]) -> [bool; N] {
    events.map(|event| known.learn(event, |object| read(&pool(), object)))
}

fn named(known: &Objectives) -> Vec<(&str, i32)> {
    known.by_name.iter().map(|(name, priority)| (name.as_str(), *priority)).collect()
}

#[test]
fn objectives_come_change_and_go() {
    use Event::{Apply, Delete, Init, InitApply, InitDone};
    let mut known = Objectives::default();
    let list = [Init, InitApply(objective("batch", -1)), InitApply(objective("chat", 5)), InitDone];
    assert_eq!(after(&mut known, list), [false, false, false, true]);
    assert_eq!(named(&known), [("batch", -1), ("chat", 5)]);

    let edits = [Apply(objective("batch", -1)), Apply(objective("batch", -2)), Delete(objective("chat", 5))];
    assert_eq!(after(&mut known, edits), [false, true, true]);
    assert_eq!(named(&known), [("batch", -2)]);

    // Listed anew: what is not shown any more is gone when the list is complete, and not before.
    assert_eq!(after(&mut known, [Init, InitApply(objective("chat", 5))]), [false, false]);
    assert_eq!(named(&known), [("batch", -2)]);
    assert_eq!(after(&mut known, [InitDone]), [true]);
    assert_eq!(named(&known), [("chat", 5)]);

    // The kind is taken away.
    assert_eq!(after(&mut known, [Init, InitDone, InitDone]), [false, true, false]);
    assert_eq!(named(&known), []);
}

#[test]
fn an_objective_of_another_pool_or_one_that_cannot_be_read_does_not_count() {
    use Event::Apply;
    let mut known = Objectives::default();
    for spec in [
        json!({"priority": 1, "poolRef": {"name": "other"}}),
        json!({"priority": 1, "poolRef": {"name": "qwen", "group": "inference.networking.x-k8s.io"}}),
        json!({"priority": "high", "poolRef": {"name": "qwen"}}),
        json!({"priority": 1, "poolRef": deep()}),
        json!(null),
    ] {
        assert_eq!(after(&mut known, [Apply(object("a", spec.clone()))]), [false], "{spec}");
    }
    // One that becomes such is one less.
    let moved = object("a", json!({"priority": 1, "poolRef": {"name": "other"}}));
    assert_eq!(after(&mut known, [Apply(objective("a", 1)), Apply(moved)]), [true, true]);
    assert_eq!(named(&known), []);
}

#[test]
fn a_request_has_the_priority_of_the_objective_that_it_names() {
    let mut newer = Objectives::default();
    let mut older = Objectives::default();
    after(&mut newer, [Event::Apply(objective("batch", -1)), Event::Apply(objective("chat", 5))]);
    after(&mut older, [Event::Apply(objective("batch", -9)), Event::Apply(objective("old", 2))]);
    let priorities = both(&newer, &older);
    for (given, expected) in [
        (&[("x-llm-d-inference-objective", "chat")][..], Some(5)),
        (&[("x-gateway-inference-objective", "chat")], Some(5)),
        (&[("x-gateway-inference-objective", "old")], Some(2)),
        // Both groups have it, and both headers are there.
        (&[("x-gateway-inference-objective", "chat"), ("x-llm-d-inference-objective", "batch")], Some(-1)),
        (&[("x-llm-d-inference-objective", "none")], None),
        (&[("x-llm-d-inference-objective", "")], None),
        (&[], None),
    ] {
        assert_eq!(priorities.of(&headers(given)), expected, "{given:?}");
    }
    assert_eq!(Priorities::default().of(&headers(&[("x-llm-d-inference-objective", "chat")])), None);
}
