//! The steps that give back and bind pools. Pure.

use crds::PickerRef;
use k8s_openapi::jiff::Timestamp;

use super::step::{Action, Plan, Wait};
use crate::strategy::binding::{BindingChange, Question, decide};
use crate::strategy::release::{give_back, held};
use crate::strategy::snapshot::Snapshot;
use crate::strategy::validate::Valid;

/// Adds steps that give back the pools that the strategy had and no longer claims, or lost to another.
pub(super) fn release_unclaimed(plan: &mut Plan, snapshot: &Snapshot, valid: &Valid) {
    let waits = plan.all_so_far();
    for (pool, record) in held(snapshot) {
        if !valid.serves(pool) {
            let give = give_back(pool, &record);
            plan.add(Action::GiveBack { give, may_give_up: false }, waits.clone());
        }
    }
}

/// Adds the steps that bind each pool that the strategy drives, as far as its binding policy says. First comes the
/// promise to give back, then the taking.
pub(super) fn bind(plan: &mut Plan, snapshot: &Snapshot, valid: &Valid, now: Timestamp) {
    let decided: Vec<_> = valid
        .bindings
        .iter()
        .map(|wanted| {
            let question = Question {
                pool: &wanted.pool,
                wanted: &wanted.reference,
                binding: snapshot.strategy.spec.binding,
                available: snapshot.is_available(&wanted.workload),
                strategy: snapshot.name(),
                generation: snapshot.generation(),
                remembered: snapshot.remembered.records.get(wanted.pool.uid()).cloned(),
                now,
            };
            (wanted, decide(&question))
        })
        .collect();
    let takes =
        |change: &BindingChange| matches!(change, BindingChange::Take { .. } | BindingChange::Recall { .. });
    let takes = decided.iter().any(|(_, decision)| takes(&decision.change));
    let promised = (takes && !snapshot.has_finalizer()).then(|| finalizer(plan));
    let mut waits = plan.all_so_far();
    waits.extend(promised.map(Wait::Success));
    for (wanted, decision) in decided {
        plan.bindings.insert((wanted.pool.group, wanted.pool.name().to_owned()), decision.state);
        if decision.change != BindingChange::Nothing {
            let (pool, change) = (wanted.pool.clone(), decision.change);
            let mut waits = waits.clone();
            // Gateways of a pool that refers to the Service already use it as it is.
            let same = |live: PickerRef| {
                live.is_service(&wanted.reference.name) && live.port == wanted.reference.port
            };
            if matches!(change, BindingChange::Take { .. }) && !pool.picker().is_some_and(same) {
                waits.push(Wait::Reach(wanted.workload.clone()));
            }
            plan.add(Action::Bind { pool, change }, waits);
        }
    }
    let auth = snapshot.strategy.spec.picker.metrics.auth;
    if !takes && !auth && snapshot.has_finalizer() && held(snapshot).is_empty() {
        let waits = plan.all_so_far();
        finish(plan, snapshot, waits);
    }
}

/// The step that adds the finalizer: the one that the plan has, or a new one.
pub(super) fn finalizer(plan: &mut Plan) -> usize {
    let known = plan.steps.iter().position(|step| step.action == Action::AddFinalizer);
    known.unwrap_or_else(|| {
        let waits = plan.all_so_far();
        plan.add(Action::AddFinalizer, waits)
    })
}

/// Adds the steps that take the finalizer away, and what no owner reference would remove with the strategy, once the
/// strategy holds no pool of the namespace any more.
pub(super) fn finish(plan: &mut Plan, snapshot: &Snapshot, waits: Vec<Wait>) {
    let groups = crds::PoolGroup::ALL.into_iter().filter(|group| !snapshot.unserved.contains(group));
    let confirmed = plan.add(Action::ConfirmNothingHeld(groups.collect()), waits);
    let deleted = plan.add(Action::DeleteRights, vec![Wait::Success(confirmed)]);
    plan.add(Action::RemoveFinalizer, vec![Wait::Success(deleted)]);
}
