//! Makes the objects of a pool, where they are missing or different.

use std::time::{Duration, Instant};

use crds::UpdatePolicy;
use kube::core::DynamicObject;
use tracing::{info, warn};

use super::Done;
use crate::drift;
use crate::kinds::{Kind, Object};
use crate::strategy::Context;
use crate::strategy::dereference::Snapshot;
use crate::strategy::turns;
use crate::write::WriteError;

/// How often to look whether a name has become free that something foreign holds.
pub(super) const NAME_TAKEN_AGAIN: Duration = Duration::from_secs(30);

/// How often to ask whether the turn of a Deployment has come.
const TURN_AGAIN: Duration = Duration::from_secs(2);

/// Makes the objects of one picker. What is in the way is noted in `done`.
pub(super) async fn all(
    context: &Context,
    snapshot: &Snapshot,
    picker: &str,
    objects: &[Object],
    done: &mut Done,
) {
    for object in objects {
        match one(context, snapshot, object, done).await {
            Ok(None) => {}
            Ok(Some(taken)) => {
                done.taken.insert(picker.to_owned(), taken);
                done.look_again(NAME_TAKEN_AGAIN);
                return;
            }
            Err(error) => {
                if let Some(refusal) = error.refusal() {
                    warn!(error = refusal, kind = ?object.kind, name = object.name(), "refused");
                    done.refused.insert(picker.to_owned(), refusal.to_owned());
                    done.look_again(NAME_TAKEN_AGAIN);
                } else {
                    done.unwritten.insert(picker.to_owned());
                    done.failed(error);
                }
                return;
            }
        }
    }
}

/// Makes one object as wanted. Returns what holds its name, if that is not this strategy.
async fn one(
    context: &Context,
    snapshot: &Snapshot,
    wanted: &Object,
    done: &mut Done,
) -> Result<Option<String>, WriteError> {
    let cached = snapshot.object(wanted.kind, wanted.name()).map(|live| (**live).clone());
    let live = match cached {
        Some(live) => Some(live),
        None => context.writer.read(wanted.kind, wanted.namespace(), wanted.name()).await?,
    };
    let kind = wanted.kind.resource().kind;
    let Some(live) = live else {
        let stored = context.writer.apply(wanted).await?;
        info!(kind, name = wanted.name(), "made");
        note(wanted, stored, done);
        return Ok(None);
    };
    if !snapshot.owns(&live) {
        let going = live.metadata.deletion_timestamp.is_some();
        let what = if going { "is being deleted" } else { "is not this strategy's; rename or delete it" };
        return Ok(Some(format!("{kind} {} {what}", wanted.name())));
    }
    let waiting = waits_for_its_turn(context, snapshot, wanted, &live, done);
    let wanted = waiting.as_ref().unwrap_or(wanted);
    let excess = drift::excess(wanted.kind, &live, &wanted.content);
    let path = drift::find(&live, &wanted.content).or_else(|| Some(excess.as_ref()?.path.clone()));
    let Some(path) = path else { return Ok(None) };
    let (uid, version) = state(&live);
    let hash = seal_of(&wanted.content);
    if context.memory.is_settled(uid, version, hash) {
        return Ok(None);
    }
    if path.starts_with("roleRef") {
        // It can't be changed.
        context.writer.delete(wanted.kind, &live).await?;
    } else {
        hand_over_replicas(context, snapshot, wanted, &live).await?;
        if let Some(excess) = &excess {
            context.writer.take_out(wanted.kind, &live, &excess.patch).await?;
        }
    }
    let stored = context.writer.apply(wanted).await?;
    info!(kind, name = wanted.name(), path, "changed");
    let left = drift::find(&stored, &wanted.content)
        .or_else(|| drift::excess(wanted.kind, &stored, &wanted.content).map(|excess| excess.path));
    if let Some(path) = left {
        warn!(kind, name = wanted.name(), path, "the API server stores this otherwise than applied");
        let (uid, version) = state(&stored);
        context.memory.settle(uid, version, hash);
    }
    note(wanted, stored, done);
    Ok(None)
}

/// Notes what was written where its progress is of interest.
fn note(wanted: &Object, stored: DynamicObject, done: &mut Done) {
    if wanted.kind == Kind::Deployment {
        done.deployments.insert(wanted.name().to_owned(), stored);
    }
}

/// A Deployment that only a new release of the operator would roll, as it is to be until its turn comes.
fn waits_for_its_turn(
    context: &Context,
    snapshot: &Snapshot,
    wanted: &Object,
    live: &DynamicObject,
    done: &mut Done,
) -> Option<Object> {
    if wanted.kind != Kind::Deployment {
        return None;
    }
    let content = turns::postponed(live, &wanted.content)?;
    if snapshot.strategy.spec.picker.update_policy == UpdatePolicy::Automatic {
        let all = context.cache.owned.get(&Kind::Deployment)?.all();
        if context.memory.turns.take(live, &all, Instant::now()) {
            return None;
        }
        done.look_again(TURN_AGAIN);
    }
    done.postponed.push(wanted.name().to_owned());
    Some(Object { kind: wanted.kind, content })
}

fn state(object: &DynamicObject) -> (&str, &str) {
    let metadata = &object.metadata;
    (metadata.uid.as_deref().unwrap_or_default(), metadata.resource_version.as_deref().unwrap_or_default())
}

fn seal_of(object: &DynamicObject) -> &str {
    object.metadata.annotations.as_ref().and_then(|a| a.get(drift::APPLIED)).map_or("", String::as_str)
}

/// A field that its only manager stops applying is removed, and one replica is the default: so the
/// number stays with another manager until the autoscaler sets it.
async fn hand_over_replicas(
    context: &Context,
    snapshot: &Snapshot,
    wanted: &Object,
    live: &DynamicObject,
) -> Result<(), WriteError> {
    let leaves = wanted.kind == Kind::Deployment && wanted.content.data["spec"].get("replicas").is_none();
    let scaled = snapshot.object(Kind::HorizontalPodAutoscaler, wanted.name()).is_some();
    match live.data["spec"]["replicas"].as_i64() {
        Some(replicas) if leaves && !scaled => context.writer.keep_replicas(live, replicas).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
