//! The writes to pools: binding and giving back, and the question which are still held.

use std::time::{Duration, Instant};

use crds::{Pool, PoolGroup};
use serde_json::json;
use tracing::{info, warn};

use super::executor::Executor;
use crate::strategy::binding::BindingChange;
use crate::strategy::outcome::StepResult;
use crate::strategy::record::{ANNOTATION, Record};
use crate::strategy::release::{GiveBack, Restore, forget, holds, leave};
use crate::strategy::snapshot::Snapshot;
use crate::strategy::write_error::WriteError;

/// For how long the former reference may be refused before a strategy that is being deleted gives up. One
/// that lives on never does: its pickers serve as long as the pool refers to them.
const GIVE_UP: Duration = Duration::from_secs(60);

/// Changes a pool's reference and record.
pub(super) async fn bind(executor: &Executor, pool: &Pool, change: &BindingChange) -> StepResult {
    let written = match change {
        BindingChange::Nothing => Ok(()),
        BindingChange::Take { record, force } => apply(executor, pool, record, *force).await,
        BindingChange::Recall { record } => {
            info!(pool = pool.name(), "writing the record of the former picker again");
            // Over whoever spoilt it; the reference is ours already.
            apply(executor, pool, record, true).await
        }
        BindingChange::Leave { record } => {
            info!(pool = pool.name(), "left to another manager");
            executor.writer.merge_pool(pool, &leave(pool, record)).await
        }
        BindingChange::Forget => executor.writer.merge_pool(pool, &forget(pool)).await,
    };
    match written {
        Ok(()) => {}
        Err(error) if error.is_field_conflict() => return StepResult::FieldConflict,
        Err(error) => return refused_or_failed(error),
    }
    match change {
        BindingChange::Nothing => {}
        BindingChange::Take { record, .. }
        | BindingChange::Recall { record }
        | BindingChange::Leave { record } => executor.memory.remember(pool.uid(), record),
        BindingChange::Forget => executor.memory.forget(pool.uid()),
    }
    if let BindingChange::Take { record, .. } = change {
        let (before, picker) = (record.previous["name"].as_str(), record.applied["name"].as_str());
        info!(pool = pool.name(), before, picker, "bound");
    }
    StepResult::Done
}

async fn apply(executor: &Executor, pool: &Pool, record: &Record, force: bool) -> Result<(), WriteError> {
    let content = json!({
        "metadata": {"annotations": {ANNOTATION: record.write().unwrap_or_default()}},
        "spec": {pool.group.ref_field(): record.applied},
    });
    executor.writer.apply_pool(pool, content, force).await
}

/// Restores a pool's previous reference, if it still refers to us, and leaves nothing of ours on it.
pub(super) async fn give_back(executor: &Executor, give: &GiveBack, may_give_up: bool) -> StepResult {
    let GiveBack { pool, restore } = give;
    let result = match restore {
        Some(restore) => put_back(executor, pool, restore).await,
        None => only_forget(executor, pool).await,
    };
    let StepResult::Refused(refusal) = result else { return result };
    if may_give_up && executor.memory.refused(pool.uid(), Instant::now()) >= GIVE_UP {
        return match only_forget(executor, pool).await {
            StepResult::Done => StepResult::GivenUp(refusal),
            result => result,
        };
    }
    warn!(pool = pool.name(), refusal, "the former picker can't be put back; trying again");
    StepResult::Refused(refusal)
}

async fn put_back(executor: &Executor, pool: &Pool, restore: &Restore) -> StepResult {
    let writer = &executor.writer;
    let written = match writer.merge_pool(pool, &restore.first).await {
        Err(error) if error.refusal().is_some() => writer.merge_pool(pool, &restore.otherwise).await,
        written => written,
    };
    if let Err(error) = written {
        return refused_or_failed(error);
    }
    executor.memory.forget(pool.uid());
    info!(pool = pool.name(), picker = restore.picker, "gave the pool back");
    StepResult::Done
}

/// A refusal of this patch is no refusal of the former reference, and so tried again as any failure.
async fn only_forget(executor: &Executor, pool: &Pool) -> StepResult {
    match executor.writer.merge_pool(pool, &forget(pool)).await {
        Ok(()) => {
            executor.memory.forget(pool.uid());
            StepResult::Done
        }
        Err(error) => StepResult::Failed(error),
    }
}

/// Asks the API server for a pool that the strategy holds still. Where there is one, the caches will see it too, and
/// then it is given back.
pub(super) async fn confirm_nothing_held(
    executor: &Executor,
    snapshot: &Snapshot,
    groups: &[PoolGroup],
) -> StepResult {
    for group in groups {
        let held = |pool: &Pool| holds(snapshot, pool);
        match executor.writer.find_pool(*group, snapshot.namespace(), held).await {
            Ok(Some(pool)) => return StepResult::StillHolds(pool.name().to_owned()),
            Ok(None) => {}
            Err(error) => return StepResult::Failed(error),
        }
    }
    StepResult::Done
}

fn refused_or_failed(error: WriteError) -> StepResult {
    match error.refusal() {
        Some(refusal) => StepResult::Refused(refusal.to_owned()),
        None => StepResult::Failed(error),
    }
}
