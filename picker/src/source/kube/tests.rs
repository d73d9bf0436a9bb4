use std::sync::Arc;

use picker_core::config::revision;
use serde_json::{Value, json};

use super::*;
use crate::deep_json::deep;
use crate::fake_api::{self, Answer};
use crate::metrics::StrategyMetrics;

fn json(routing: Value, status: Value) -> Value {
    json!({
        "metadata": {"name": "chat", "generation": 4, "managedFields": [{"fieldsV1": deep()}]},
        "spec": {"routing": routing}, "status": status,
    })
}

fn object(routing: Value, status: Value) -> RawObject {
    serde_json::from_str(&json(routing, status).to_string()).unwrap()
}

fn installer() -> Installer {
    Installer::new(Arc::default(), StrategyMetrics::default())
}

#[test]
fn names() {
    let strategy = StrategyRef { namespace: "llm".to_owned(), name: "chat".to_owned() };
    assert_eq!("llm/chat".parse(), Ok(strategy));
    for wrong in ["chat", "/chat", "llm/", "a/b/c", ""] {
        assert_eq!(wrong.parse::<StrategyRef>(), Err("must be NAMESPACE/NAME".to_owned()));
    }
}

#[test]
fn a_bad_routing_at_the_start_asks_for_the_accepted_one() {
    let (good, bad) = (json!({"plugins": [{"type": "queue-scorer"}]}), json!({"plugins": [{"type": "x"}]}));
    let accepted = revision(&good);
    let status = json!({"revision": accepted});

    let installer = installer();
    let rescued = Some((accepted, Rescue::Refused));
    assert_eq!(take(&object(bad.clone(), status.clone()), &installer), rescued);
    assert_eq!(take(&object(bad.clone(), json!({})), &installer), None);
    // The operator of a newer release accepted what this picker can't compile.
    assert_eq!(take(&object(bad.clone(), json!({"revision": revision(&bad)})), &installer), None);
    // Once something serves, it goes on.
    assert_eq!(take(&object(good, status.clone()), &installer), None);
    assert_eq!(take(&object(bad, status), &installer), None);
    assert_eq!(installer.serving().borrow().generation, Some(4));
}

/// While edits are paused pickers serve what was accepted last, those that start anew too.
#[test]
fn an_edit_that_is_paused_is_not_taken_up() {
    let [first, edit] = ["queue-scorer", "random-picker"].map(|name| json!({"plugins": [{"type": name}]}));
    let status = json!({"revision": revision(&first)});
    let paused = |routing: &Value, paused: Value, status: &Value| {
        let mut object = json(routing.clone(), status.clone());
        object["spec"]["paused"] = paused;
        serde_json::from_str::<RawObject>(&object.to_string()).unwrap()
    };
    let both = json!({"workload": true, "routing": true});

    let serves = |installer: &Installer| installer.serving().borrow().revision.clone();
    let running = installer();
    assert_eq!(take(&object(first.clone(), status.clone()), &running), None);
    assert_eq!(take(&paused(&edit, both.clone(), &status), &running), None);
    assert_eq!(serves(&running), Some(revision(&first)));
    // One that starts now, or was late, asks for the one that was accepted.
    let new = installer();
    let accepted = Some((revision(&first), Rescue::Paused));
    assert_eq!(take(&paused(&edit, json!({"routing": true}), &status), &new), accepted);
    assert_eq!(serves(&new), None);
    assert!(new.rescue(&first, Scope::Resource, Rescue::Paused));
    assert_eq!(take(&paused(&edit, both.clone(), &status), &new), None);
    // A paused workload alone takes edits up, and so does the end of the pause.
    assert_eq!(take(&paused(&edit, json!(true), &status), &new), None);
    assert_eq!(serves(&new), Some(revision(&edit)));
    assert_eq!(take(&paused(&edit, json!(false), &status), &running), None);
    assert_eq!(serves(&running), Some(revision(&edit)));
    // The first routing of all is taken up: there is none to stay with.
    let first_of_all = installer();
    assert_eq!(take(&paused(&edit, both, &json!({})), &first_of_all), None);
    assert_eq!(serves(&first_of_all), Some(revision(&edit)));
}

#[test]
fn a_routing_that_is_nested_too_deep_is_refused_like_any_other() {
    let good = json!({"plugins": [{"type": "queue-scorer"}]});
    let unreadable = json!({"plugins": [{"type": "queue-scorer", "parameters": deep()}]});
    let accepted = revision(&good);
    let installer = installer();
    let object = object(unreadable, json!({"revision": accepted}));
    assert_eq!(take(&object, &installer), Some((accepted, Rescue::Refused)));
    let serving = installer.serving().borrow().clone();
    assert_eq!(serving.generation, Some(4));
    let error = serving.error.unwrap();
    assert!(error.contains("unreadable: recursion limit exceeded"), "{error}");
}

#[test]
fn the_entries_of_all_pickers_are_read() {
    let stored = watch::Sender::<Stored>::default();
    let status = json!({"pickers": {"a": {"revision": "r1", "generation": 3}, "b": {}, "c": 7}});
    tell(&stored, &object(json!({}), status));
    let a = PickerStatus { revision: Some("r1".to_owned()), generation: Some(3), ..PickerStatus::default() };
    let expected = BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), PickerStatus::default())]);
    assert_eq!(*stored.borrow(), Stored { pickers: Some(expected) });
    tell(&stored, &object(json!({}), Value::Null));
    assert_eq!(*stored.borrow(), Stored { pickers: Some(BTreeMap::new()) });
}

#[test]
fn the_number_of_replicas_that_are_asked_for_is_read_whatever_else_there_is() {
    let of = |picker: Value| {
        let spec = json!({"routing": deep(), "picker": picker});
        let object = json!({"metadata": {"name": "chat"}, "spec": spec});
        asked(&serde_json::from_str(&object.to_string()).unwrap())
    };
    assert_eq!(of(json!({"podTemplate": deep()})), 2);
    assert_eq!(of(json!({"replicas": 5, "updatePolicy": "OfAnotherRelease"})), 5);
    assert_eq!(of(json!({"autoscaling": {"minReplicas": 3, "maxReplicas": 9}})), 3);
    assert_eq!(of(json!({"autoscaling": {"maxReplicas": 9}})), 1);
    assert_eq!(asked(&serde_json::from_str(&json!({"metadata": {"name": "chat"}}).to_string()).unwrap()), 2);
}

/// A strategy with a list of pickers in its status, as the API server tells it.
#[tokio::test(start_paused = true)]
async fn replicas_are_counted_by_the_status_of_the_strategy() {
    let (pod, other) = ("qwen-picker-7d9f8b6c4-x2x5z", "qwen-picker-7d9f8b6c4-b7b8c");
    let pickers = json!({pod: {"revision": "r"}, other: {}, "llama-picker-7d9f8b6c4-b7b8c": {}});
    let strategy = json(json!({}), json!({"pickers": pickers}));
    let list = json!({"metadata": {"resourceVersion": "7"}, "items": [strategy]});
    let (client, _) = fake_api::client(move |asked| {
        if asked.what.contains("watch=true") { Answer::Silence } else { Answer::Object(list.clone()) }
    });
    let (installer, metrics) = (installer(), Metrics::new(crate::view::empty()));
    let strategy = StrategyRef { namespace: "llm".to_owned(), name: "chat".to_owned() };
    let count = watch::Sender::new(1);
    let mut follow = count.subscribe();
    let (replicas, stored) = (Replicas::new(Some(pod.to_owned()), count), watch::Sender::default());
    tokio::select! {
        () = run(client, strategy, &installer, &metrics, &stored, &replicas) => unreachable!(),
        changed = follow.changed() => changed.unwrap(),
    }
    assert_eq!(*follow.borrow(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_accepted_routing_serves_as_soon_as_the_history_answers() {
    let good = json!({"plugins": [{"type": "queue-scorer"}]});
    let accepted = revision(&good);
    let strategy = json(json!({"plugins": deep()}), json!({"revision": accepted}));
    let list = json!({"metadata": {"resourceVersion": "7"}, "items": [strategy]});
    let slot = json!({
        "metadata": {"name": "chat-routing-0", "labels": {crds::history::REVISION_LABEL: accepted}},
        "revision": 1, "data": good,
    });
    let refusals = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (client, log) = fake_api::client(move |asked| {
        if asked.what.contains("watch=true") {
            Answer::Silence
        } else if asked.what.contains("/routingstrategies?") {
            Answer::Object(list.clone())
        } else if refusals.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 {
            Answer::Error(503)
        } else {
            Answer::Object(slot.clone())
        }
    });
    let installer = installer();
    let metrics = Metrics::new(crate::view::empty());
    let strategy = StrategyRef { namespace: "llm".to_owned(), name: "chat".to_owned() };
    let mut serving = installer.serving();
    let (replicas, stored) = (Replicas::new(None, watch::Sender::new(1)), watch::Sender::default());
    let run = run(client, strategy, &installer, &metrics, &stored, &replicas);
    let serves = serving.wait_for(|serving| serving.revision.is_some());
    tokio::select! {
        () = run => unreachable!("it never ends"),
        serves = serves => {
            let serves = serves.unwrap();
            assert_eq!(serves.revision, Some(accepted));
            assert_ne!(serves.offered, serves.revision);
            assert!(serves.error.is_some());
        }
    }
    // The list is of this one name: that is all that a picker may list.
    let first = log.lock().unwrap()[0].what.clone();
    assert!(first.contains("fieldSelector=metadata.name%3Dchat"), "{first}");
}
