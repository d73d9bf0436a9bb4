//! The write of a strategy's status, and the Events of its change.

use serde_json::Value;
use tracing::debug;

use super::events;
use super::executor::Executor;
use crate::strategy::plan::Report;
use crate::strategy::snapshot::Snapshot;
use crate::strategy::write_error::WriteError;

/// Merges the patch of a report into the status, without the entries of pickers that are gone, and tells its Events.
/// Does nothing when nothing differs.
pub(super) async fn write(
    executor: &Executor,
    snapshot: &Snapshot,
    report: &Report,
) -> Result<(), WriteError> {
    let mut patch = Value::Object(report.patch.clone());
    for pod in &report.unseen {
        // The cache of pods may be behind that of strategies, so that it is asked again.
        match executor.writer.pod_exists(snapshot.namespace(), pod).await {
            Ok(true) => {}
            Ok(false) => patch["pickers"][pod] = Value::Null,
            Err(error) => debug!(%error, pod, "could not ask for a picker"),
        }
    }
    if patch.as_object().is_some_and(|fields| !fields.is_empty()) {
        if let Some(written) = executor.writer.status(&snapshot.strategy, &patch).await? {
            executor.memory.statuses.note(&written);
        }
        events::tell(executor, snapshot, &report.events).await;
    }
    Ok(())
}
