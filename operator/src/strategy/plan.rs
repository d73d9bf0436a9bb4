//! The third step of a reconcile: the ordered list of everything that is to be written. Pure.
//!
//! The order matters: what a pool will refer to is there before the pool refers to it, and goes after the pool no
//! longer does; a routing is in the history before anything else happens.

use std::collections::BTreeMap;
use std::slice;

use crds::PoolGroup;
use k8s_openapi::jiff::Timestamp;

use super::heir::{handover, heir, passing};
use super::release::{give_back, held};
use super::snapshot::Snapshot;
use super::validate::Valid;
use crate::kinds::Kind;
use crate::names;

mod deletions;
mod display;
mod history;
mod inspections;
mod objects;
mod pause;
mod pools;
mod step;
#[cfg(test)]
mod tests;

pub(crate) use history::is_of;
pub(crate) use objects::{ObjectChange, change, seal, state, taken};
pub(crate) use step::{Action, Alteration, Before, Keep, Plan, Report, Slot, Step, Upgrade, Wait};

/// Plans all writes that make the cluster as the strategy says.
pub(super) fn plan(snapshot: &Snapshot, valid: &Valid, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let makes = valid.routing.is_ok() || valid.picker.is_ok() && !valid.workloads.is_empty();
    if !snapshot.has_finalizer() && (makes || snapshot.owns_anything()) {
        // First the promise to give back and to clean up: nothing but the finalizer does.
        plan.add(Action::AddFinalizer, Vec::new());
    }
    history::add(&mut plan, snapshot, valid);
    let mut made = BTreeMap::new();
    if let Ok(wanted) = &valid.picker {
        // Pickers that ask who reads their metrics may do so from their start.
        rights(&mut plan, snapshot, valid);
        let first = plan.all_so_far();
        for (workload, objects) in &wanted.workloads {
            let steps = objects::make(&mut plan, snapshot, workload, objects, first.clone());
            made.insert(workload.clone(), steps);
        }
    }
    pools::release_unclaimed(&mut plan, snapshot, valid);
    pools::bind(&mut plan, snapshot, valid, now);
    deletions::add(&mut plan, snapshot, valid, &made);
    if snapshot.strategy.spec.paused.workload {
        pause::freeze(&mut plan);
    }
    inspections::add(&mut plan, snapshot, valid, now);
    plan
}

/// Plans the end of a strategy that is being deleted: its pools are given back, its pickers serve on while gateways
/// follow, then all that was made for it goes, and it is let go. With the wish that this stays, it does.
pub(super) fn plan_deletion(snapshot: &Snapshot) -> Plan {
    let mut plan = Plan::default();
    if !snapshot.has_finalizer() {
        return plan;
    }
    let mut waits = Vec::new();
    let mut passing_on = Vec::new();
    for (pool, record) in held(snapshot) {
        // One that fails holds no other up.
        let give = give_back(pool, &record);
        let unless: Vec<_> =
            heir(snapshot, pool).map(|_| Wait::Handover(handover(snapshot, pool))).into_iter().collect();
        if !unless.is_empty() {
            passing_on.push(names::picker(pool.group, pool.name()));
        }
        let step = plan.add(Action::GiveBack { give, may_give_up: true }, unless);
        waits.push(Wait::Success(step));
    }
    let deployments =
        snapshot.owned.iter().filter(|(kind, live)| *kind == Kind::Deployment && snapshot.owns(live));
    let mut serving = false;
    for name in deployments.filter_map(|(_, live)| live.metadata.name.as_ref()) {
        serving |= snapshot.serves_a_pool(name);
        // A pool that names its picker by its owner's will passes on with it.
        let passing = passing(snapshot, name).filter(|_| !passing_on.contains(name));
        waits.extend(passing.map(|pool| Wait::Handover(handover(snapshot, pool))));
    }
    if serving && !snapshot.orphans {
        waits.push(Wait::Hold(snapshot.uid().to_owned()));
    }
    let groups = PoolGroup::ALL.into_iter().filter(|group| !snapshot.unserved.contains(group));
    let confirmed = plan.add(Action::ConfirmNothingHeld(groups.collect()), waits);
    let mut last = vec![Wait::Success(confirmed)];
    if !snapshot.orphans {
        let all = deletions::add_all(&mut plan, snapshot, confirmed);
        last.extend(all.into_iter().map(Wait::Success));
    }
    plan.add(Action::RemoveFinalizer, last);
    plan
}

/// Adds the steps for the ClusterRoleBinding of the pickers.
fn rights(plan: &mut Plan, snapshot: &Snapshot, valid: &Valid) {
    let name = snapshot.cluster_name();
    let live = snapshot.object(Kind::ClusterRoleBinding, &name);
    let wanted = valid.picker.as_ref().ok().and_then(|objects| objects.rights.as_ref());
    if let Some(wanted) = wanted {
        let first = plan.all_so_far();
        objects::make(plan, snapshot, &name, slice::from_ref(wanted), first);
    } else if let Some(live) = live
        && snapshot.owns(live)
        // Pools that are not known are not gone.
        && valid.unserved.is_empty()
    {
        let waits = plan.all_so_far();
        plan.add(Action::Delete { kind: Kind::ClusterRoleBinding, live: live.clone() }, waits);
    }
}
