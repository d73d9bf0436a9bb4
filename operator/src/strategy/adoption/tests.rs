use std::sync::Arc;

use crds::{PickerSpec, PoolGroup};

use super::*;
use crate::build::deployment::ASKED;
use crate::strategy::testing::{defaults, snapshot};

/// The Deployment that is built with `image` and this many replicas, by a strategy that finds `live`.
fn built(
    live: Option<&DynamicObject>,
    strategy: (&str, &str),
    image: &str,
    priority: Option<&str>,
) -> DynamicObject {
    let mut world = snapshot();
    let metadata = &mut Arc::make_mut(&mut world.strategy).metadata;
    (metadata.name, metadata.uid) = (Some(strategy.0.to_owned()), Some(strategy.1.to_owned()));
    world.owned = live.map(|live| (Kind::Deployment, Arc::new(live.clone()))).into_iter().collect();
    let mut defaults = defaults();
    defaults.image = image.to_owned();
    let mut picker = PickerSpec::default();
    if let Some(priority) = priority {
        let spec = serde_json::json!({"priorityClassName": priority});
        picker.pod_template.insert("spec".to_owned(), spec);
    }
    let input = Input {
        strategy: strategy.0,
        uid: strategy.1,
        made_for: strategy,
        namespace: "llm",
        pool: "qwen",
        group: PoolGroup::V1,
        name: "qwen-picker",
        picker: &picker,
        defaults: &defaults,
    };
    deployment(&objects(&world, &input).unwrap()).unwrap().clone()
}

fn template(deployment: &DynamicObject) -> &Value {
    &deployment.data["spec"]["template"]
}

#[test]
fn pods_that_are_taken_over_stay() {
    let first = built(None, ("chat", "uid-gone"), "a", None);
    for next in [("chat", "uid-chat"), ("talk", "uid-talk")] {
        let second = built(Some(&first), next, "a", None);
        assert_eq!(template(&second), template(&first));
        assert_eq!(
            (said(&second, ASKED), said(&second, TEMPLATE)),
            (said(&first, ASKED), said(&first, TEMPLATE))
        );
        let labels = second.metadata.labels.as_ref().unwrap();
        assert_eq!((labels[names::STRATEGY].as_str(), labels[names::STRATEGY_UID].as_str()), next);
    }
}

#[test]
fn an_edit_replaces_them_at_once() {
    let first = built(None, ("chat", "uid-chat"), "a", None);
    let own = built(None, ("talk", "uid-talk"), "a", Some("high"));
    assert_eq!(built(Some(&first), ("talk", "uid-talk"), "a", Some("high")), own);
}

/// Pods of another release may not be able to follow a strategy of another name. For one of the same name they wait for
/// their turn, as the hash of what was asked for says.
#[test]
fn pods_of_another_release_are_replaced() {
    let first = built(None, ("chat", "uid-gone"), "a", None);
    let talk = built(None, ("talk", "uid-talk"), "b", None);
    assert_eq!(built(Some(&first), ("talk", "uid-talk"), "b", None), talk);
    assert_ne!(said(&talk, ASKED), said(&first, ASKED));
    let again = built(Some(&first), ("chat", "uid-chat"), "b", None);
    assert_eq!((said(&again, ASKED), template(&again) == template(&first)), (said(&first, ASKED), false));
}

#[test]
fn what_is_foreign_tells_nothing() {
    let mut foreign = built(None, ("chat", "uid-gone"), "a", None);
    foreign.metadata.labels = None;
    foreign.metadata.annotations.as_mut().unwrap().remove(crate::drift::APPLIED);
    let own = built(None, ("chat", "uid-chat"), "a", None);
    assert_eq!(built(Some(&foreign), ("chat", "uid-chat"), "a", None), own);
}
