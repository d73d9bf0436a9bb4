//! The pause of a plan: what a strategy with `spec.paused` would have written is left out and noted. Pure.

use super::step::{Action, Plan};
use crate::strategy::binding::{BindingChange, BindingState};

/// Leaves out all writes but the promise to clean up and that of an accepted routing to the history, which pickers go on
/// taking up. What is left out is noted, and a pool whose reference is not written is not bound by it.
pub(super) fn freeze(plan: &mut Plan) {
    // They are the first steps, so that what they wait for keeps its number.
    let (kept, frozen): (Vec<_>, Vec<_>) =
        plan.steps.drain(..).partition(|step| matches!(step.action, Action::AddFinalizer | Action::Keep(_)));
    plan.steps = kept;
    for step in frozen {
        match &step.action {
            Action::Bind { pool, change: BindingChange::Take { .. } | BindingChange::Leave { .. } } => {
                let message = format!("pool {} is not written while spec.paused stands", pool.name());
                let key = (pool.group, pool.name().to_owned());
                plan.bindings.insert(key, BindingState::Waiting(message));
                plan.frozen.push(format!("bind pool {}", pool.name()));
            }
            Action::Bind { pool, .. } => {
                plan.frozen.push(format!("change the record of pool {}", pool.name()))
            }
            // It writes nothing.
            Action::Look { .. } => {}
            Action::Claim { kind, live, .. } => {
                let name = live.metadata.name.as_deref().unwrap_or_default();
                plan.frozen.push(format!("claim {kind:?} {name}"));
            }
            Action::GiveBack { give, .. } => plan.frozen.push(format!("give pool {} back", give.pool.name())),
            action => plan.frozen.push(action.to_string()),
        }
    }
}
