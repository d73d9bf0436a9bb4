//! The fourth step of a reconcile: one loop that executes the steps of a plan. Nothing else writes to the cluster.
//!
//! Steps that wait for nothing of each other run at the same time, a few at most. When objects have been made for a while,
//! those that are left come in the next reconcile, so that the status tells what there is, and an edit that was made
//! meanwhile is seen. The Lease and the Events are written by others: [`crate::lease`] decides who leads, and the recorder
//! of Events has its own client.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::Either;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::outcome::StepResult;
use super::plan::{Action, Plan, Wait};
use super::snapshot::Snapshot;

mod actions;
mod events;
mod executor;
mod history;
mod inspections;
mod objects;
mod pools;
mod report;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod write;

use actions::{end_holds, forget_lost, perform};
pub use executor::Executor;

/// Most steps of one strategy that run at the same time.
const AT_ONCE: usize = 8;
/// For how long objects are made and deleted until the rest is left to the next reconcile.
const SLICE: Duration = Duration::from_secs(1);

/// Executes a plan, and returns what became of each step. Whatever fails, the rest is done.
pub(super) async fn execute(executor: &Executor, snapshot: &Snapshot, plan: &Plan) -> Vec<StepResult> {
    forget_lost(executor, snapshot);
    end_holds(executor, snapshot, plan);
    run(executor, snapshot, plan).await
}

/// Executes the steps that say what came of a plan: the status and its Events.
pub(super) async fn report(executor: &Executor, snapshot: &Snapshot, plan: &Plan) -> Vec<StepResult> {
    run(executor, snapshot, plan).await
}

/// Executes each step as soon as all that it waits for is there.
async fn run(executor: &Executor, snapshot: &Snapshot, plan: &Plan) -> Vec<StepResult> {
    let mut results: Vec<Option<StepResult>> = plan.steps.iter().map(|_| None).collect();
    let mut started = vec![false; plan.steps.len()];
    let mut running = FuturesUnordered::new();
    // The end of the time for objects, counted from the first, so that there is always one.
    let mut end = plan.tells_first.then(Instant::now);
    loop {
        for (number, step) in plan.steps.iter().enumerate() {
            if started[number] || running.len() >= AT_ONCE {
                continue;
            }
            match readiness(&step.waits, &results) {
                Readiness::Waiting => {}
                Readiness::Never => {
                    started[number] = true;
                    match &step.action {
                        // What else stands in its way is told at once, not one after the other.
                        Action::Make { workload, object } if is_taken(plan, &results, workload) => {
                            let look = objects::look(executor, snapshot, object.kind, object.name());
                            running.push(Either::Left(async move { (number, look.await) }));
                        }
                        _ => results[number] = Some(StepResult::Skipped),
                    }
                }
                Readiness::Now if step.action.is_bulk() && end.is_some_and(|end| Instant::now() >= end) => {
                    started[number] = true;
                    results[number] = Some(StepResult::Later);
                }
                Readiness::Now => {
                    started[number] = true;
                    if step.action.is_bulk() {
                        end.get_or_insert_with(|| Instant::now() + SLICE);
                    }
                    running.push(Either::Right(
                        async move { (number, perform(executor, snapshot, step).await) },
                    ));
                }
            }
        }
        match running.next().await {
            Some((number, result)) => results[number] = Some(result),
            None => break,
        }
    }
    results.into_iter().map(|result| result.unwrap_or(StepResult::Skipped)).collect()
}

/// Whether a name of `workload` was found to be taken.
fn is_taken(plan: &Plan, results: &[Option<StepResult>], workload: &str) -> bool {
    plan.steps.iter().zip(results).any(|(step, result)| match (&step.action, result) {
        (Action::Make { workload: of, .. }, Some(StepResult::Taken(_))) => of == workload,
        _ => false,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Now,
    Waiting,
    /// Something that the step needs has failed.
    Never,
}

fn readiness(waits: &[Wait], results: &[Option<StepResult>]) -> Readiness {
    let mut readiness = Readiness::Now;
    for wait in waits {
        let one = match wait {
            Wait::AllBefore(number) if results[..*number].iter().all(Option::is_some) => Readiness::Now,
            Wait::AllBefore(_) => Readiness::Waiting,
            // Asked for when all else is there: its time begins then.
            Wait::Hold(_) | Wait::Handover(_) | Wait::Reach(_) => Readiness::Now,
            Wait::End(step) | Wait::Success(step) | Wait::NameFree(step) => match (&results[*step], wait) {
                (None, _) => Readiness::Waiting,
                (Some(result), Wait::Success(_)) if !result.is_success() => Readiness::Never,
                (Some(StepResult::Taken(_) | StepResult::Later), Wait::NameFree(_)) => Readiness::Never,
                _ => Readiness::Now,
            },
        };
        match one {
            Readiness::Never => return Readiness::Never,
            Readiness::Waiting => readiness = Readiness::Waiting,
            Readiness::Now => {}
        }
    }
    readiness
}
