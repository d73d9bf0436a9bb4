//! Ownership of the objects that the operator makes, by their labels. Pure.
//!
//! No object has an owner reference to its strategy: Kubernetes would delete it when the strategy is deleted in the
//! foreground, while its pickers still serve, and would cut the reference when dependents are orphaned. The finalizer
//! of a strategy removes them instead. Objects of earlier releases have such references, which are taken out.

use std::sync::Arc;

use crds::RoutingStrategy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::drift::APPLIED;
use crate::names;

/// The owner of an object, as a strategy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ownership<'a> {
    /// This strategy, or a former one of the same name.
    Own,
    /// Another strategy that is there, though it may be being deleted.
    Other(&'a RoutingStrategy),
    /// Nobody: the operator made it for a strategy that is not there, or its labels were lost.
    Nobody,
    /// Somebody else than the operator made it.
    Foreign,
}

/// A strategy that asks who owns an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimant<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    /// The other strategies of its namespace.
    pub others: &'a [Arc<RoutingStrategy>],
}

/// Who owns `object`, by its labels; by its owner reference where an earlier release gave it one.
pub(super) fn ownership<'a>(claimant: Claimant<'a>, object: &DynamicObject) -> Ownership<'a> {
    let label = |name| object.metadata.labels.as_ref().and_then(|l| l.get(name)).map(String::as_str);
    let strategy = label(names::STRATEGY);
    let managed = label(names::MANAGED_BY) == Some(names::MANAGED_BY_WAYPOST);
    if object.metadata.namespace.is_none() {
        // What is in no namespace names that of its strategy.
        let own =
            managed && label(names::NAMESPACE) == Some(claimant.namespace) && strategy == Some(claimant.name);
        return if own { Ownership::Own } else { Ownership::Foreign };
    }
    let owners = || object.metadata.owner_references.iter().flatten();
    if owners().any(|owner| owner.controller == Some(true) && !is_strategy(owner)) {
        return Ownership::Foreign;
    }
    let reference = owners().find(|owner| is_strategy(owner));
    let uid = label(names::STRATEGY_UID).or(reference.map(|owner| owner.uid.as_str()));
    let name = strategy.filter(|_| managed).or(reference.map(|owner| owner.name.as_str()));
    if name == Some(claimant.name) || uid == Some(claimant.uid) {
        return Ownership::Own;
    }
    let of = |other: &&RoutingStrategy| {
        name.is_some() && other.metadata.name.as_deref() == name
            || uid.is_some() && other.metadata.uid.as_deref() == uid
    };
    if let Some(other) = claimant.others.iter().map(|other| &**other).find(of) {
        return Ownership::Other(other);
    }
    match name.is_some() || uid.is_some() || is_applied(object) {
        true => Ownership::Nobody,
        false => Ownership::Foreign,
    }
}

/// Whether the operator applied `object`, whatever its labels: copies of labels are made without its doing, as by
/// `kubectl expose`.
pub(super) fn is_applied(object: &DynamicObject) -> bool {
    object.metadata.annotations.iter().flatten().any(|(name, _)| name == APPLIED)
}

/// The owner references that `object` is to keep, where it has some to a strategy: a value for a merge patch.
pub(super) fn other_owners(object: &DynamicObject) -> Option<Value> {
    let owners = object.metadata.owner_references.as_ref()?;
    if !owners.iter().any(is_strategy) {
        return None;
    }
    let others: Vec<_> = owners.iter().filter(|owner| !is_strategy(owner)).collect();
    Some(if others.is_empty() { Value::Null } else { json!(others) })
}

/// The merge patch that makes a slot of the history that is this strategy's look so; `None` when it does.
pub(super) fn claim(uid: &str, slot: &DynamicObject) -> Option<Value> {
    let label = |name| slot.metadata.labels.as_ref().and_then(|l| l.get(name)).map(String::as_str);
    let owners = other_owners(slot);
    if owners.is_none() && label(names::STRATEGY_UID) == Some(uid) {
        return None;
    }
    let mut patch = json!({"metadata": {"labels": {names::STRATEGY_UID: uid}}});
    if let Some(owners) = owners {
        patch["metadata"]["ownerReferences"] = owners;
    }
    Some(patch)
}

fn is_strategy(owner: &OwnerReference) -> bool {
    owner.kind == "RoutingStrategy" && owner.api_version.starts_with("waypost.dev/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::snapshot::Snapshot;
    use crate::strategy::testing::{former_owner, snapshot, strategy};

    fn object(metadata: Value) -> DynamicObject {
        let mut object = json!({"metadata": {"name": "qwen-picker", "namespace": "llm"}});
        object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        serde_json::from_value(object).unwrap()
    }

    fn labelled(strategy: &str, uid: &str) -> Value {
        json!({"labels": {
            names::MANAGED_BY: names::MANAGED_BY_WAYPOST, names::STRATEGY: strategy, names::STRATEGY_UID: uid,
        }})
    }

    /// `chat`, beside which there is `other`.
    fn world() -> Snapshot {
        let mut world = snapshot();
        let mut other = strategy(json!({"pools": []}));
        other.metadata.name = Some("other".to_owned());
        other.metadata.uid = Some("uid-other".to_owned());
        world.others = vec![Arc::new(other)];
        world
    }

    #[test]
    fn labels_tell_the_owner() {
        let world = world();
        let other = Ownership::Other(&world.others[0]);
        let cases = [
            (labelled("chat", "uid-chat"), Ownership::Own),
            // A former strategy of the same name is gone, or this one would not be there.
            (labelled("chat", "uid-gone"), Ownership::Own),
            (labelled("other", "uid-other"), other),
            (labelled("other", "uid-gone"), other),
            (labelled("gone", "uid-gone"), Ownership::Nobody),
            (json!({}), Ownership::Foreign),
            (json!({"labels": {names::MANAGED_BY: "Helm", names::STRATEGY: "chat"}}), Ownership::Foreign),
            // All labels were lost.
            (json!({"annotations": {APPLIED: "0123"}}), Ownership::Nobody),
        ];
        for (metadata, wanted) in cases {
            assert_eq!(world.ownership(&object(metadata.clone())), wanted, "{metadata}");
        }
    }

    #[test]
    fn references_of_earlier_releases_tell_it_too() {
        let world = world();
        let referred = |name, uid| json!({"ownerReferences": [former_owner(name, uid)]});
        let of = |metadata: Value| world.ownership(&object(metadata));
        assert_eq!(of(referred("chat", "uid-chat")), Ownership::Own);
        assert_eq!(of(referred("chat", "uid-gone")), Ownership::Own);
        assert_eq!(of(referred("gone", "uid-gone")), Ownership::Nobody);
        // Labels are what this release writes.
        let mut relabelled = labelled("chat", "uid-chat");
        relabelled["ownerReferences"] = json!([former_owner("gone", "uid-gone")]);
        assert_eq!(of(relabelled), Ownership::Own);
    }

    #[test]
    fn what_a_controller_of_another_kind_made_is_foreign() {
        let mut metadata = labelled("chat", "uid-chat");
        metadata["ownerReferences"] = json!([{
            "apiVersion": "example.com/v1", "kind": "Thing", "name": "x", "uid": "uid-x", "controller": true,
        }]);
        assert_eq!(world().ownership(&object(metadata)), Ownership::Foreign);
    }

    #[test]
    fn references_to_strategies_are_taken_out_and_others_stay() {
        assert_eq!(other_owners(&object(json!({}))), None);
        let ours = former_owner("chat", "uid-chat");
        assert_eq!(other_owners(&object(json!({"ownerReferences": [ours]}))), Some(Value::Null));
        let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "uid-x"});
        let both = object(json!({"ownerReferences": [ours, theirs]}));
        assert_eq!(other_owners(&both), Some(json!([theirs])));
        assert_eq!(other_owners(&object(json!({"ownerReferences": [theirs]}))), None);
    }

    #[test]
    fn a_slot_of_an_earlier_release_or_strategy_is_claimed_once() {
        let world = world();
        let uid = json!({names::STRATEGY_UID: "uid-chat"});
        let earlier = object(json!({"ownerReferences": [former_owner("chat", "uid-chat")]}));
        let patch = json!({"metadata": {"labels": uid, "ownerReferences": null}});
        assert_eq!(claim(world.uid(), &earlier), Some(patch));
        let former = object(labelled("chat", "uid-gone"));
        assert_eq!(claim(world.uid(), &former), Some(json!({"metadata": {"labels": uid}})));
        assert_eq!(claim(world.uid(), &object(labelled("chat", "uid-chat"))), None);
    }
}
