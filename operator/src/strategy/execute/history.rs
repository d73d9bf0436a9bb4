//! The write of an accepted routing to the history.

use crds::history;
use serde_json::json;

use super::executor::Executor;
use crate::drift;
use crate::kinds::{Kind, Object};
use crate::names;
use crate::strategy::memory::KeptRevision;
use crate::strategy::outcome::StepResult;
use crate::strategy::plan::{Keep, Slot, is_of};
use crate::strategy::snapshot::Snapshot;
use crate::strategy::taken::TakenNames;
use crate::strategy::write_error::WriteError;

/// Writes the accepted routing to its slot.
pub(super) async fn keep(executor: &Executor, snapshot: &Snapshot, keep: &Keep) -> StepResult {
    match write(executor, snapshot, keep).await {
        Ok(true) => StepResult::Done,
        Ok(false) => {
            let name = format!("{}-routing-0 to 9", snapshot.name());
            StepResult::Taken(TakenNames::one("ControllerRevisions", &name, false))
        }
        Err(error) => StepResult::Failed(error),
    }
}

/// Writes it; `false` when every slot is held by an object that is not ours.
async fn write(executor: &Executor, snapshot: &Snapshot, keep: &Keep) -> Result<bool, WriteError> {
    let name = match &keep.slot {
        Slot::Same(name) => name,
        Slot::Free { empty, oldest } => match (free(executor, snapshot, empty, keep).await?, oldest) {
            (Some(name), _) => name,
            (None, Some((name, old))) => {
                executor.writer.delete(Kind::ControllerRevision, old).await?;
                name
            }
            (None, None) => return Ok(false),
        },
    };
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": snapshot.namespace(),
            "labels": {
                names::MANAGED_BY: names::MANAGED_BY_WAYPOST,
                names::COMPONENT: "routing",
                names::STRATEGY: snapshot.name(),
                names::STRATEGY_UID: snapshot.uid(),
                history::REVISION_LABEL: keep.revision,
            },
        },
        "revision": keep.number,
    });
    object["data"] = snapshot.strategy.spec.routing.0.clone();
    let mut object = Object::new(Kind::ControllerRevision, &object)
        .map_err(|error| WriteError::Api(kube::Error::SerdeError(error)))?;
    drift::seal(&mut object.content);
    executor.writer.apply(&object).await?;
    let kept = KeptRevision { number: keep.number, revision: keep.revision.clone() };
    executor.memory.note_made(snapshot.uid(), Kind::ControllerRevision, name);
    executor.memory.keep(snapshot.uid(), kept);
    Ok(true)
}

/// The first of `slots` in which the revision can be written, past the cache, which holds ours only and may not yet
/// hold what was written last.
async fn free<'a>(
    executor: &Executor,
    snapshot: &Snapshot,
    slots: &'a [String],
    keep: &Keep,
) -> Result<Option<&'a String>, WriteError> {
    for name in slots {
        let live = executor.writer.read(Kind::ControllerRevision, snapshot.namespace(), name).await?;
        if live.is_none_or(|live| snapshot.owns(&live) && is_of(&live, &keep.revision)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
