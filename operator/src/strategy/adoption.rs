//! The objects of a workload whose pods were made for another strategy, or for a former one of the same name: nothing of
//! that alone is a reason to replace them. Pure.

use kube::core::DynamicObject;
use serde_json::Value;

use super::ownership::Ownership;
use super::snapshot::Snapshot;
use crate::build::deployment::TEMPLATE;
use crate::build::{self, Input, OverlayError};
use crate::kinds::{Kind, Object};
use crate::names;

/// Builds the objects of one workload. Pods that are there keep the name and the UID of the strategy that they were made
/// for until something else asks for new ones: they learn from their Deployment which strategy they follow.
///
/// # Errors
/// As [`build::objects`].
pub(super) fn objects(snapshot: &Snapshot, input: &Input<'_>) -> Result<Vec<Object>, OverlayError> {
    let own = build::objects(input)?;
    let Some(live) = snapshot.object(Kind::Deployment, input.name) else { return Ok(own) };
    if snapshot.ownership(live) == Ownership::Foreign {
        return Ok(own);
    }
    let Some((strategy, uid)) = made_for(live) else { return Ok(own) };
    if (strategy.as_str(), uid.as_str()) == input.made_for {
        return Ok(own);
    }
    let kept = build::objects(&Input { made_for: (&strategy, &uid), ..*input })?;
    // Those of an earlier release may not know how to follow another strategy.
    let same = deployment(&kept).is_some_and(|kept| said(kept, TEMPLATE) == said(live, TEMPLATE));
    Ok(if same { kept } else { own })
}

fn deployment(objects: &[Object]) -> Option<&DynamicObject> {
    objects.iter().find(|object| object.kind == Kind::Deployment).map(|object| &object.content)
}

fn said<'a>(object: &'a DynamicObject, annotation: &str) -> Option<&'a String> {
    object.metadata.annotations.as_ref()?.get(annotation)
}

/// Name and UID of the strategy that the pods of a Deployment were made for.
fn made_for(deployment: &DynamicObject) -> Option<(String, String)> {
    let template: Value = serde_json::from_str(said(deployment, TEMPLATE)?).ok()?;
    let label = |name: &str| Some(template["metadata"]["labels"].get(name)?.as_str()?.to_owned());
    Some((label(names::STRATEGY)?, label(names::STRATEGY_UID)?))
}

#[cfg(test)]
mod tests {
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
}
