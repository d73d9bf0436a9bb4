//! The execution of one step of a plan.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::executor::Executor;
use super::{events, history, inspections, objects, pools};
use crate::build::EXT_PROC_PORT;
use crate::kinds::Kind;
use crate::queue::StrategyKey;
use crate::strategy::outcome::StepResult;
use crate::strategy::plan::{Action, Plan, Step, Wait};
use crate::strategy::snapshot::Snapshot;
use crate::strategy::write_error::WriteError;

/// How soon to look again for a Service that is not there, or not the strategy's. Its watch tells sooner when it comes.
const SERVICE_AGAIN: Duration = Duration::from_secs(30);

/// Forgets that connections to a Service arrived which has no address any more.
pub(super) fn forget_lost(executor: &Executor, snapshot: &Snapshot) {
    for (kind, live) in &snapshot.owned {
        let name = live.metadata.name.as_deref().unwrap_or_default();
        if *kind == Kind::Service
            && executor.cache.has_addresses(snapshot.namespace(), name) == Some(false)
            && let Some(uid) = &live.metadata.uid
        {
            executor.memory.reach.lost(uid);
        }
    }
}

/// How long a strategy to which a pool passes may take to have it. After that the pool is given back.
const HANDOVER: Duration = Duration::from_secs(20);

/// Ends the holds of objects that `plan` does not delete any more, and those of pools that do not pass to another strategy
/// any more.
pub(super) fn end_holds(executor: &Executor, snapshot: &Snapshot, plan: &Plan) {
    let waits = || plan.steps.iter().flat_map(|step| &step.waits);
    let passes = |name: &str| waits().any(|wait| matches!(wait, Wait::Handover(of) if of == name));
    executor.memory.end_handovers(snapshot.uid(), passes);
    for uid in snapshot.owned.iter().filter_map(|(_, live)| live.metadata.uid.as_deref()) {
        if !waits().any(|wait| matches!(wait, Wait::Hold(held) if held == uid)) {
            executor.memory.end_hold(uid);
        }
    }
}

/// Executes one step, all that it waits for being there.
pub(super) async fn perform(executor: &Executor, snapshot: &Snapshot, step: &Step) -> StepResult {
    // Another operator may have begun to work here since the plan was made.
    if !executor.works_in(snapshot.namespace()) {
        return StepResult::Failed(WriteError::NotLeading);
    }
    let holds = step.waits.iter().filter_map(|wait| match wait {
        Wait::Hold(uid) => executor.memory.hold(uid, executor.release_hold, Instant::now()),
        Wait::Reach(workload) => reach(executor, snapshot, workload),
        Wait::Handover(name) => executor.memory.hold(name, HANDOVER, Instant::now()),
        _ => None,
    });
    if let Some(left) = holds.max() {
        return StepResult::Held(left);
    }
    // Only so many at a time for all strategies together: what somebody waits for has its room at the API server too.
    let _room = match step.action.is_bulk() || matches!(step.action, Action::ConfirmNothingHeld(_)) {
        true => executor.room.acquire().await.ok(),
        false => None,
    };
    let writer = &executor.writer;
    match &step.action {
        Action::Keep(keep) => history::keep(executor, snapshot, keep).await,
        Action::AddFinalizer => done(writer.add_finalizer(&snapshot.strategy).await),
        Action::Make { object, .. } => objects::make(executor, snapshot, object).await,
        Action::Alter { alteration, .. } => objects::alter(executor, alteration).await,
        Action::Upgrade { upgrade, .. } => objects::upgrade(executor, upgrade).await,
        Action::Bind { pool, change } => pools::bind(executor, pool, change).await,
        Action::GiveBack { give, may_give_up } => pools::give_back(executor, give, *may_give_up).await,
        Action::Inspect { pod, state, age } => {
            inspections::inspect(executor, snapshot, pod, *state, *age).await
        }
        Action::ConfirmNothingHeld(groups) => pools::confirm_nothing_held(executor, snapshot, groups).await,
        Action::DeleteUnseen { kind, name } => {
            done(objects::delete_unseen(executor, snapshot, *kind, name).await)
        }
        Action::Look { kind, name, .. } => objects::look(executor, snapshot, *kind, name).await,
        Action::Claim { kind, live, patch } => done(writer.merge(*kind, live, patch).await),
        Action::RemoveFinalizer => {
            let removed = writer.remove_finalizer(&snapshot.strategy).await;
            if removed.is_ok() {
                executor.memory.end_hold(snapshot.uid());
            }
            done(removed)
        }
        Action::Delete { kind, live } => done(objects::delete(executor, *kind, live).await),
        Action::Tell(told) => {
            events::tell(executor, snapshot, told).await;
            StepResult::Done
        }
        Action::Report(report) => done(super::report::write(executor, snapshot, report).await),
    }
}

/// The rest of the time until connections to the Service of a workload arrive; `None` when they do.
fn reach(executor: &Executor, snapshot: &Snapshot, workload: &str) -> Option<Duration> {
    let service = snapshot.object(Kind::Service, workload).filter(|service| snapshot.owns(service));
    let Some((service, uid)) = service.and_then(|service| Some((service, service.metadata.uid.as_deref()?)))
    else {
        return Some(SERVICE_AGAIN);
    };
    let address = service.data["spec"]["clusterIP"].as_str().and_then(|address| address.parse().ok());
    let address = address.map(|address| SocketAddr::new(address, EXT_PROC_PORT));
    let addresses = executor.cache.has_addresses(snapshot.namespace(), workload);
    let strategy = StrategyKey::of(&snapshot.strategy.metadata);
    executor.memory.reach.wait(uid, address, addresses, &strategy, Instant::now())
}

fn done(result: Result<(), WriteError>) -> StepResult {
    match result {
        Ok(()) => StepResult::Done,
        Err(error) => StepResult::Failed(error),
    }
}
