//! The questions for the Events of pods: seldom, and ever more seldom for a pod that stays as it is.

use std::time::Instant;

use tracing::debug;

use super::executor::Executor;
use crate::strategy::outcome::StepResult;
use crate::strategy::pod_warning::PodWarning;
use crate::strategy::snapshot::Snapshot;

/// Asks for the Events of a pod if it is time, and gives back the latest warning that is known.
pub(super) async fn inspect(executor: &Executor, snapshot: &Snapshot, pod: &str, runs: bool) -> StepResult {
    let key = format!("{}/{pod}/{runs}", snapshot.namespace());
    let inspections = &executor.memory.inspections;
    if inspections.is_time(&key, Instant::now()) {
        match executor.writer.events_of_pod(snapshot.namespace(), pod).await {
            Ok(events) => inspections.found(&key, PodWarning::newest(&events)),
            // Without the right to read them, the cause is one that the pod's status tells, or not known.
            Err(error) => {
                debug!(%error, pod, "could not ask for the events of a pod");
                inspections.found(&key, None);
            }
        }
    }
    let (warning, again) = inspections.known(&key, Instant::now());
    StepResult::Inspected { warning, again }
}
