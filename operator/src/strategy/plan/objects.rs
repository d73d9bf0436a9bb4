//! The steps that make and alter the objects of picker workloads. Pure.

use std::sync::Arc;

use crds::UpdatePolicy;
use kube::core::DynamicObject;
use serde_json::json;

use super::step::{Action, Alteration, Before, Plan, Upgrade, Wait};
use crate::drift;
use crate::kinds::{Kind, Object};
use crate::strategy::ownership::{Ownership, other_owners};
use crate::strategy::snapshot::Snapshot;
use crate::strategy::taken::TakenNames;
use crate::strategy::upgrade_queue::postponed;

/// The change that one object needs which is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ObjectChange {
    Nothing,
    /// Something that is not this strategy's has the name: this is it.
    Taken(TakenNames),
    Alter(Box<Alteration>),
    /// A Deployment that stays as an earlier release built it, with what of that differs.
    Postponed(Option<Box<Alteration>>),
    /// A Deployment that only waits for its turn to be rolled to this release.
    Upgrade(Box<Upgrade>),
}

/// Adds the steps for `objects`, one after the other: the first waits for `first`, each other for the success of the
/// one before. Returns the numbers of the steps.
pub(super) fn make(
    plan: &mut Plan,
    snapshot: &Snapshot,
    workload: &str,
    objects: &[Object],
    first: Vec<Wait>,
) -> Vec<usize> {
    let (mut waits, mut steps) = (first, Vec::new());
    let changes: Vec<_> = objects
        .iter()
        .map(|object| {
            (object, snapshot.object(object.kind, object.name()).map(|live| change(snapshot, object, live)))
        })
        .collect();
    if changes.iter().any(|(_, change)| matches!(change, Some(ObjectChange::Taken(_)))) {
        look(plan, workload, changes, &waits);
        return steps;
    }
    for (object, change) in changes {
        let workload = workload.to_owned();
        let change = match change {
            None => Some(Action::Make { workload, object: Box::new(object.clone()) }),
            Some(change) => match change {
                ObjectChange::Nothing | ObjectChange::Taken(_) => None,
                ObjectChange::Alter(alteration) => Some(Action::Alter { workload, alteration }),
                ObjectChange::Postponed(alteration) => {
                    plan.postponed.push(object.name().to_owned());
                    alteration.map(|alteration| Action::Alter { workload, alteration })
                }
                ObjectChange::Upgrade(upgrade) => Some(Action::Upgrade { workload, upgrade }),
            },
        };
        if let Some(action) = change {
            let step = plan.add(action, waits);
            waits = vec![Wait::Success(step)];
            steps.push(step);
        }
    }
    steps
}

/// Notes all names of a workload that are taken, and adds the steps that look whose those are which the caches don't
/// have: what stands in the way is told at once.
fn look(plan: &mut Plan, workload: &str, changes: Vec<(&Object, Option<ObjectChange>)>, waits: &[Wait]) {
    for (object, change) in changes {
        match change {
            Some(ObjectChange::Taken(taken)) => {
                plan.taken.entry(workload.to_owned()).or_default().extend(taken);
            }
            Some(_) => {}
            None => {
                let (workload, name) = (workload.to_owned(), object.name().to_owned());
                plan.add(Action::Look { workload, kind: object.kind, name }, waits.to_vec());
            }
        }
    }
}

/// Decides which change makes `live` as `wanted`.
pub(crate) fn change(snapshot: &Snapshot, wanted: &Object, live: &Arc<DynamicObject>) -> ObjectChange {
    if let Some(taken) = taken(snapshot, wanted.kind, live) {
        return ObjectChange::Taken(taken);
    }
    let earlier = (wanted.kind == Kind::Deployment).then(|| postponed(live, &wanted.content)).flatten();
    let Some(content) = earlier else {
        return alteration(snapshot, wanted, live)
            .map_or(ObjectChange::Nothing, |alteration| ObjectChange::Alter(Box::new(alteration)));
    };
    let until_then = alteration(snapshot, &Object { kind: wanted.kind, content }, live);
    if snapshot.strategy.spec.picker.update_policy != UpdatePolicy::Automatic {
        return ObjectChange::Postponed(until_then.map(Box::new));
    }
    match alteration(snapshot, wanted, live) {
        Some(now) => ObjectChange::Upgrade(Box::new(Upgrade { now, until_then })),
        None => ObjectChange::Nothing,
    }
}

/// The finding that `live` can't be this strategy's. What the operator made is: for a former strategy, or for another,
/// since only the strategy that drives a pool asks for its pickers.
pub(crate) fn taken(snapshot: &Snapshot, kind: Kind, live: &DynamicObject) -> Option<TakenNames> {
    let ownership = snapshot.ownership(live);
    // Its own comes back when it is gone.
    let going = live.metadata.deletion_timestamp.is_some() && ownership != Ownership::Own;
    let name = live.metadata.name.as_deref().unwrap_or_default();
    (going || ownership == Ownership::Foreign).then(|| TakenNames::one(&kind.resource().kind, name, going))
}

/// The change of `live` into `wanted`, if it differs in a way that applying would mend.
fn alteration(snapshot: &Snapshot, wanted: &Object, live: &Arc<DynamicObject>) -> Option<Alteration> {
    let excess = drift::excess(wanted.kind, live, &wanted.content);
    let owners = other_owners(live);
    let path = drift::find(live, &wanted.content)
        .or_else(|| Some(excess.as_ref()?.path.clone()))
        .or_else(|| owners.is_some().then(|| "metadata.ownerReferences".to_owned()))?;
    let (uid, version) = state(live);
    if snapshot.remembered.is_settled(uid, version, seal(&wanted.content)) {
        return None;
    }
    let before = if path.starts_with("roleRef") {
        vec![Before::Delete]
    } else {
        let replicas = replicas_to_keep(snapshot, wanted, live).map(Before::KeepReplicas);
        let mut out = excess.map(|excess| excess.patch);
        if let Some(owners) = owners {
            out.get_or_insert_with(|| json!({}))["metadata"]["ownerReferences"] = owners;
        }
        replicas.into_iter().chain(out.map(Before::TakeOut)).collect()
    };
    Some(Alteration { wanted: wanted.clone(), live: Arc::clone(live), path, before })
}

/// The number of replicas of a Deployment whose replicas the operator stops to set. A field that its only manager
/// stops applying is removed, and one replica is the default: so the number stays with another manager until the
/// autoscaler sets it.
fn replicas_to_keep(snapshot: &Snapshot, wanted: &Object, live: &DynamicObject) -> Option<i64> {
    let leaves = wanted.kind == Kind::Deployment && wanted.content.data["spec"].get("replicas").is_none();
    let scaled = snapshot.object(Kind::HorizontalPodAutoscaler, wanted.name()).is_some();
    live.data["spec"]["replicas"].as_i64().filter(|_| leaves && !scaled)
}

/// UID and resource version of an object.
pub(crate) fn state(object: &DynamicObject) -> (&str, &str) {
    let metadata = &object.metadata;
    (metadata.uid.as_deref().unwrap_or_default(), metadata.resource_version.as_deref().unwrap_or_default())
}

/// The hash of what was applied, as the object carries it.
pub(crate) fn seal(object: &DynamicObject) -> &str {
    object.metadata.annotations.as_ref().and_then(|a| a.get(drift::APPLIED)).map_or("", String::as_str)
}
