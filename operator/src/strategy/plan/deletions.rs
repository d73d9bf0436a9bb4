//! The steps that delete objects which are not wanted any more. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crds::PoolGroup;
use kube::core::DynamicObject;

use super::step::{Action, Plan, Wait};
use crate::kinds::Kind;
use crate::names;
use crate::strategy::heir::{handover, passing};
use crate::strategy::ownership::is_applied;
use crate::strategy::release::is_to_give_back;
use crate::strategy::snapshot::Snapshot;
use crate::strategy::validate::Valid;

/// Adds the steps. Pickers of a pool that is still there serve on for a while after it was given back. `made` has the
/// steps of each workload: what of it is in excess stays while one of its names is taken.
pub(super) fn add(plan: &mut Plan, snapshot: &Snapshot, valid: &Valid, made: &BTreeMap<String, Vec<usize>>) {
    let mut owned: Vec<_> = snapshot.owned.iter().collect();
    // What needs others goes before them.
    owned.sort_by_key(|(kind, _)| Reverse(*kind));
    let first = plan.all_so_far();
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, live) in owned {
        let name = live.metadata.name.as_deref().unwrap_or_default();
        if !kind.is_of_a_workload()
            || !snapshot.owns(live)
            || !is_applied(live)
            || live.metadata.deletion_timestamp.is_some()
            // Pools that are not known are not gone.
            || valid.unserved.iter().any(|group| may_serve(live, *group))
        {
            continue;
        }
        let mut waits = first.clone();
        let mut action = Action::Delete { kind: *kind, live: live.clone() };
        if valid.names().contains(&name) {
            if plan.taken.contains_key(name) || !is_in_excess(valid, *kind, name) {
                continue;
            }
            waits.extend(made.get(name).into_iter().flatten().map(|step| Wait::NameFree(*step)));
        } else if is_to_give_back(snapshot, name) {
            // What follows waits until gateways can follow too.
            continue;
        } else if let Some(pool) = passing(snapshot, name) {
            // It passes to another strategy with its pool, which labels what it wants of it.
            waits.push(Wait::Handover(handover(snapshot, pool)));
            action = Action::DeleteUnseen { kind: *kind, name: name.to_owned() };
            if snapshot.serves_a_pool(name) {
                waits.push(Wait::Hold(live.metadata.uid.clone().unwrap_or_default()));
            }
        } else if snapshot.serves_a_pool(name) {
            waits.push(Wait::Hold(live.metadata.uid.clone().unwrap_or_default()));
        }
        waits.extend(last.get(name).map(|step| Wait::End(*step)));
        last.insert(name, plan.add(action, waits));
    }
}

/// Adds the steps that delete all that was made for the strategy, once step `confirmed` succeeded, and returns their
/// numbers. What this process made last may not be in the caches yet; nor may it be that another strategy has taken what
/// passes to it.
pub(super) fn add_all(plan: &mut Plan, snapshot: &Snapshot, confirmed: usize) -> Vec<usize> {
    let is_made = |kind: Kind, live: &DynamicObject| {
        // Slots of the history have names of their own.
        let slot = live.metadata.name.as_deref().and_then(crds::history::strategy_of);
        let is_slot = kind == Kind::ControllerRevision && slot == snapshot.strategy.metadata.name.as_deref();
        snapshot.owns(live) && (is_applied(live) || is_slot)
    };
    let mut owned: Vec<_> = snapshot.owned.iter().filter(|(kind, live)| is_made(*kind, live)).collect();
    owned.sort_by_key(|(kind, _)| Reverse(*kind));
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    let mut steps = Vec::new();
    let mut passes: BTreeMap<&str, bool> = BTreeMap::new();
    for (kind, live) in owned {
        if *kind == Kind::ClusterRoleBinding || live.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let name = live.metadata.name.as_deref().unwrap_or_default();
        let mut waits = vec![Wait::Success(confirmed)];
        waits.extend(last.get(name).map(|step| Wait::End(*step)));
        let passes = kind.is_of_a_workload()
            && *passes.entry(name).or_insert_with(|| passing(snapshot, name).is_some());
        let action = match passes {
            true => Action::DeleteUnseen { kind: *kind, name: name.to_owned() },
            false => Action::Delete { kind: *kind, live: live.clone() },
        };
        let step = plan.add(action, waits);
        last.insert(name, step);
        steps.push(step);
    }
    let rights = (Kind::ClusterRoleBinding, snapshot.cluster_name());
    for (kind, name) in
        snapshot.remembered.made.iter().filter(|made| **made != rights).cloned().rev().chain([rights.clone()])
    {
        steps.push(plan.add(Action::DeleteUnseen { kind, name }, vec![Wait::Success(confirmed)]));
    }
    steps
}

/// Whether a workload that is wanted is so without this object. Without knowing what is wanted, nothing is in excess.
fn is_in_excess(valid: &Valid, kind: Kind, name: &str) -> bool {
    let Ok(wanted) = &valid.picker else { return false };
    !wanted.workloads.get(name).into_iter().flatten().any(|object| object.kind == kind)
}

/// Whether an object may have been made for a pool of `group`. Its name tells, except where the pool's name is
/// not known in full.
fn may_serve(live: &DynamicObject, group: PoolGroup) -> bool {
    let pool = live.metadata.labels.as_ref().and_then(|labels| labels.get(names::POOL));
    let is_of =
        |group: PoolGroup| pool.is_some_and(|pool| live.metadata.name == Some(names::picker(group, pool)));
    is_of(group) || !PoolGroup::ALL.into_iter().any(is_of)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made_for(group: PoolGroup, pool: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": names::picker(group, pool), "labels": {names::POOL: names::label(pool)}},
        }))
        .unwrap()
    }

    #[test]
    fn the_name_tells_which_group_an_object_serves() {
        let (v1, old) = (PoolGroup::V1, PoolGroup::V1Alpha2);
        for pool in ["qwen", "llama-3.1-8b"] {
            assert!(may_serve(&made_for(v1, pool), v1) && !may_serve(&made_for(v1, pool), old));
            assert!(may_serve(&made_for(old, pool), old) && !may_serve(&made_for(old, pool), v1));
        }
        // The label has not all of the name.
        let long = made_for(v1, &"x".repeat(100));
        assert!(may_serve(&long, v1) && may_serve(&long, old));
        let mut bare = made_for(v1, "qwen");
        bare.metadata.labels = None;
        assert!(may_serve(&bare, old));
    }
}
