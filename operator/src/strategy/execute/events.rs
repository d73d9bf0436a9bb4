//! Events, told to the API server by a recorder of their own.

use std::time::Duration;

use kube::Resource as _;
use kube::runtime::events::{Event, EventType};
use tokio::time::timeout;
use tracing::debug;

use super::executor::Executor;
use crate::strategy::event::StrategyEvent;
use crate::strategy::snapshot::Snapshot;

/// Longest time that telling may take: an Event is no reason to stand still.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tells `events` about the strategy of a snapshot.
pub(super) async fn tell(executor: &Executor, snapshot: &Snapshot, events: &[StrategyEvent]) {
    let reference = snapshot.strategy.object_ref(&());
    for told in events {
        // Events that differ in nothing but their note are counted as one, under the first note: so that the
        // note is part of the action.
        let hash = &picker_core::config::revision(&told.note.as_str().into())[..8];
        let event = Event {
            type_: if told.warning { EventType::Warning } else { EventType::Normal },
            action: format!("Reconcile/{hash}"),
            reason: told.reason.clone(),
            note: Some(told.note.clone()),
            secondary: None,
        };
        // An event that is lost is in the status still.
        if !executor.works_in(snapshot.namespace()) {
            return;
        }
        match timeout(TIMEOUT, executor.recorder.publish(&event, &reference)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "event not published"),
            Err(_) => return,
        }
    }
}
