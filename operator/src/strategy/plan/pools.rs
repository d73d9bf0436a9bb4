//! The steps that give back and bind pools. Pure.

use crds::PickerRef;
use k8s_openapi::jiff::Timestamp;

use super::step::{Action, Plan, Wait};
use crate::strategy::binding::{BindingChange, Question, decide};
use crate::strategy::heir::{handover, heir};
use crate::strategy::release::{give_back, held};
use crate::strategy::snapshot::Snapshot;
use crate::strategy::validate::Valid;

/// Adds steps that give back the pools that the strategy had and no longer claims, or lost to another: after the time in
/// which another strategy could have taken such a pool as it is.
pub(super) fn release_unclaimed(plan: &mut Plan, snapshot: &Snapshot, valid: &Valid) {
    let waits = plan.all_so_far();
    for (pool, record) in held(snapshot) {
        if !valid.serves(pool) {
            let give = give_back(pool, &record);
            let mut waits = waits.clone();
            waits.extend(heir(snapshot, pool).map(|_| Wait::Handover(handover(snapshot, pool))));
            plan.add(Action::GiveBack { give, may_give_up: false }, waits);
        }
    }
}

/// Adds the steps that bind each pool that the strategy drives, as far as its binding policy says.
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
    let waits = plan.all_so_far();
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
}
