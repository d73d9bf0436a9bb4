//! The questions for the Events of pods: seldom, and ever more seldom for a pod that stays as it is.

use std::time::{Duration, Instant};

use tracing::debug;

use super::executor::Executor;
use crate::strategy::outcome::StepResult;
use crate::strategy::pod_warning::PodWarning;
use crate::strategy::silent_state::SilentState;
use crate::strategy::snapshot::Snapshot;

/// Asks for the Events of a pod if it is time, and gives back the latest warning that is known.
pub(super) async fn inspect(
    executor: &Executor,
    snapshot: &Snapshot,
    pod: &str,
    state: SilentState,
    age: Duration,
) -> StepResult {
    let key = format!("{}/{pod}/{state:?}", snapshot.namespace());
    let inspections = &executor.memory.inspections;
    if inspections.is_time(&key, age, Instant::now()) {
        let warning = match state {
            // What a scheduler found is a condition of the pod: there is none.
            SilentState::Unscheduled => None,
            SilentState::Starting | SilentState::Running => {
                match executor.writer.events_of_pod(snapshot.namespace(), pod).await {
                    Ok(events) => PodWarning::newest(&events),
                    // Without the right to read them, the cause is one that the pod's status tells, or not known.
                    Err(error) => {
                        debug!(%error, pod, "could not ask for the events of a pod");
                        None
                    }
                }
            }
        };
        inspections.found(&key, warning);
    }
    let (warning, again) = inspections.known(&key, Instant::now());
    // The pod changes when a scheduler looks at it.
    let is_final = state == SilentState::Unscheduled && warning.is_some();
    StepResult::Inspected { warning, again: (!is_final).then_some(again) }
}
