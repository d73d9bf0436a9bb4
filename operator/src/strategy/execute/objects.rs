//! The making, alteration and deletion of the objects of picker workloads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::core::DynamicObject;
use tracing::{debug, info, warn};

use super::executor::Executor;
use crate::drift;
use crate::kinds::{Kind, Object};
use crate::strategy::outcome::StepResult;
use crate::strategy::ownership::other_owners;
use crate::strategy::plan::{Alteration, Before, ObjectChange, Upgrade, change, seal, state, taken};
use crate::strategy::snapshot::Snapshot;
use crate::strategy::write_error::WriteError;

/// Makes an object of which the caches know nothing. What the API server turns out to have is treated as if the
/// caches had it.
pub(super) async fn make(executor: &Executor, snapshot: &Snapshot, wanted: &Object) -> StepResult {
    match executor.writer.read(wanted.kind, wanted.namespace(), wanted.name()).await {
        Err(error) => failed(wanted, error),
        Ok(Some(live)) => match change(snapshot, wanted, &Arc::new(live)) {
            ObjectChange::Nothing => StepResult::Done,
            ObjectChange::Taken(taken) => StepResult::Taken(taken),
            ObjectChange::Alter(alteration) => alter(executor, &alteration).await,
            ObjectChange::Postponed(alteration) => postponed(executor, alteration.as_deref(), None).await,
            ObjectChange::Upgrade(planned) => upgrade(executor, &planned).await,
        },
        Ok(None) => {
            // Before the request: one whose answer does not come may have arrived.
            executor.memory.note_made(snapshot.uid(), wanted.kind, wanted.name());
            match executor.writer.apply(wanted).await {
                Ok(stored) => {
                    info!(kind = wanted.kind.resource().kind, name = wanted.name(), "made");
                    written(wanted, stored)
                }
                Err(error) => failed(wanted, error),
            }
        }
    }
}

/// Rolls a Deployment to this release if its turn has come.
pub(super) async fn upgrade(executor: &Executor, upgrade: &Upgrade) -> StepResult {
    let deployments = |uid: Option<&str>| {
        let mut held =
            executor.cache.owned.get(&Kind::Deployment).map(|index| index.all()).unwrap_or_default();
        held.retain(|held| uid.is_none_or(|uid| held.uid == uid));
        held.iter().map(|held| Arc::new(held.object())).collect()
    };
    match executor.memory.upgrades.take(&upgrade.now.live, deployments, Instant::now()) {
        Ok(()) => alter(executor, &upgrade.now).await,
        Err(again) => postponed(executor, upgrade.until_then.as_ref(), Some(again)).await,
    }
}

/// Keeps a Deployment as an earlier release built it.
async fn postponed(
    executor: &Executor,
    alteration: Option<&Alteration>,
    again: Option<Duration>,
) -> StepResult {
    let result = match alteration {
        Some(alteration) => alter(executor, alteration).await,
        None => StepResult::Done,
    };
    StepResult::Postponed { result: Box::new(result), again }
}

/// Alters an object into what is wanted.
pub(super) async fn alter(executor: &Executor, alteration: &Alteration) -> StepResult {
    match write(executor, alteration).await {
        Ok(stored) => written(&alteration.wanted, stored),
        Err(error) => failed(&alteration.wanted, error),
    }
}

async fn write(executor: &Executor, alteration: &Alteration) -> Result<DynamicObject, WriteError> {
    let Alteration { wanted, live, path, before } = alteration;
    let writer = &executor.writer;
    for before in before {
        match before {
            Before::Delete => writer.delete(wanted.kind, live).await?,
            Before::KeepReplicas(replicas) => writer.keep_replicas(live, *replicas).await?,
            Before::TakeOut(patch) => writer.merge(wanted.kind, live, patch).await?,
        }
    }
    let stored = writer.apply(wanted).await?;
    let kind = wanted.kind.resource().kind;
    info!(kind, name = wanted.name(), path, "changed");
    let left = drift::find(&stored, &wanted.content)
        .or_else(|| drift::excess(wanted.kind, &stored, &wanted.content).map(|excess| excess.path))
        .or_else(|| other_owners(&stored).map(|_| "metadata.ownerReferences".to_owned()));
    if let Some(path) = left {
        warn!(kind, name = wanted.name(), path, "the API server stores this otherwise than applied");
        let (uid, version) = state(&stored);
        executor.memory.settle(uid, version, seal(&wanted.content));
    }
    Ok(stored)
}

/// Deletes an object that is not wanted any more.
pub(super) async fn delete(executor: &Executor, kind: Kind, live: &DynamicObject) -> Result<(), WriteError> {
    let name = live.metadata.name.as_deref().unwrap_or_default();
    info!(kind = kind.resource().kind, name, "deleting what is no longer wanted");
    executor.writer.delete(kind, live).await?;
    executor.memory.end_hold(live.metadata.uid.as_deref().unwrap_or_default());
    Ok(())
}

/// Deletes an object of a strategy, whatever the caches say of it, if its kind is one that this process may look at.
pub(super) async fn delete_unseen(
    executor: &Executor,
    snapshot: &Snapshot,
    kind: Kind,
    name: &str,
) -> Result<(), WriteError> {
    // Without rights of the cluster none of it was made.
    if executor.cache.owned.get(&kind).is_some_and(|index| index.is_absent()) {
        return Ok(());
    }
    match executor.writer.read(kind, snapshot.namespace(), name).await? {
        Some(live) if snapshot.owns(&live) => executor.writer.delete(kind, &live).await,
        _ => Ok(()),
    }
}

/// Tells whether an object is another's whose name is wanted.
pub(super) async fn look(executor: &Executor, snapshot: &Snapshot, kind: Kind, name: &str) -> StepResult {
    match executor.writer.read(kind, snapshot.namespace(), name).await {
        Ok(live) => match live.and_then(|live| taken(snapshot, kind, &live)) {
            Some(taken) => StepResult::Taken(taken),
            None => StepResult::Skipped,
        },
        Err(error) => StepResult::Failed(error),
    }
}

/// What was written, where its progress is of interest.
fn written(wanted: &Object, stored: DynamicObject) -> StepResult {
    match wanted.kind {
        Kind::Deployment => StepResult::Stored(Box::new(stored)),
        _ => StepResult::Done,
    }
}

fn failed(wanted: &Object, error: WriteError) -> StepResult {
    let Some(refusal) = error.refusal() else { return StepResult::Failed(error) };
    if error.is_end_of_namespace() {
        debug!(error = refusal, kind = ?wanted.kind, name = wanted.name(), "the namespace ends");
    } else {
        warn!(error = refusal, kind = ?wanted.kind, name = wanted.name(), "refused");
    }
    StepResult::Refused(refusal.to_owned())
}
