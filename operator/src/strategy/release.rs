//! Giving pools back: the way out of a pool, and of the world.

use std::time::Instant;

use crds::Pool;
use kube::runtime::controller::Action;
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use super::apply::{Done, auth, serves_a_pool};
use super::dereference::Snapshot;
use super::record::{ANNOTATION, Record};
use super::validate::Valid;
use super::{Context, Error, events, managers};
use crate::MANAGER;
use crate::kinds::Kind;
use crate::names;
use crate::write::WriteError;

/// Gives back the pools that the strategy had and no longer claims, or lost to another.
pub(super) async fn unclaimed(context: &Context, snapshot: &Snapshot, valid: &Valid, done: &mut Done) {
    for pool in recorded(snapshot) {
        let claimed = valid.own().any(|c| c.pool.group == pool.group && c.pool.name() == pool.name());
        if claimed {
            continue;
        }
        match give_back(context, pool).await {
            Ok(Given::Back) => done.released.push(pool.name().to_owned()),
            Ok(Given::Nothing) => {}
            Ok(Given::Up(refusal)) => done.given_up.push((pool.name().to_owned(), refusal)),
            Err(error) => done.failed(error),
        }
    }
}

/// What became of a pool that was to be given back.
enum Given {
    /// It has its former picker again.
    Back,
    /// It refers to something else already, or is not finished.
    Nothing,
    /// The API server refuses its former reference: this is why.
    Up(String),
}

/// Works on a strategy that is being deleted: its pools are given back, its pickers serve on while
/// gateways follow, and then it is let go, with all that it owns.
pub(super) async fn deleted(context: &Context, snapshot: &Snapshot) -> Result<Action, Error> {
    if !snapshot.has_finalizer() {
        return Ok(Action::await_change());
    }
    let (mut done, mut failed) = (Done::default(), None);
    for pool in recorded(snapshot) {
        // One that fails holds no other up.
        match give_back(context, pool).await {
            Ok(Given::Back) => done.released.push(pool.name().to_owned()),
            Ok(Given::Nothing) => {}
            Ok(Given::Up(refusal)) => done.given_up.push((pool.name().to_owned(), refusal)),
            Err(error) => failed = Some(error),
        }
    }
    events::released(context, snapshot, &done).await;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let serving = snapshot.owned.iter().any(|(kind, live)| {
        let name = live.metadata.name.as_deref().unwrap_or_default();
        *kind == Kind::Deployment && snapshot.owns(live) && serves_a_pool(snapshot, name)
    });
    if serving && let Some(left) = context.memory.hold(snapshot.uid(), context.release_hold, Instant::now()) {
        return Ok(Action::requeue(left));
    }
    if finish(context, snapshot).await? {
        context.memory.end_hold(snapshot.uid());
    }
    Ok(Action::await_change())
}

/// Takes the finalizer away, and what no owner reference would remove with the strategy, when no pool of the namespace carries a record of the strategy, which is
/// asked of the API server itself. Returns whether it did.
pub(super) async fn finish(context: &Context, snapshot: &Snapshot) -> Result<bool, WriteError> {
    for group in crds::PoolGroup::ALL.into_iter().filter(|group| context.cache.serves(*group)) {
        let mut metadata = context.writer.pools(group, snapshot.namespace()).await?.into_iter();
        let recorded = |record: &str| {
            serde_json::from_str::<Record>(record).is_ok_and(|record| record.strategy == snapshot.name())
        };
        let held = metadata.any(|m| {
            m.deletion_timestamp.is_none()
                && m.annotations.is_some_and(|a| a.get(ANNOTATION).is_some_and(|record| recorded(record)))
        });
        if held {
            // The cache will see it too, and then it is given back.
            return Ok(false);
        }
    }
    auth::remove(context, snapshot).await?;
    context.writer.finalizer(&snapshot.strategy, None).await?;
    Ok(true)
}

/// The pools with a record of this strategy, those that are being deleted aside.
fn recorded(snapshot: &Snapshot) -> impl Iterator<Item = &Pool> {
    let name = snapshot.name();
    let live = snapshot.pools.iter().filter(|pool| pool.metadata.deletion_timestamp.is_none());
    live.map(|pool| &**pool).filter(move |pool| Record::read(pool).is_some_and(|r| r.strategy == name))
}

/// Puts back what a pool referred to before, if it still refers to us, which it returns; leaves nothing of
/// ours on it in the end.
async fn give_back(context: &Context, pool: &Pool) -> Result<Given, WriteError> {
    let Some(record) = Record::read(pool) else { return Ok(Given::Nothing) };
    context.memory.forget(pool.uid());
    let ours = pool.picker().is_some_and(|live| live.is_service(&names::picker(pool.group, pool.name())));
    if !ours {
        forget(context, pool).await?;
        return Ok(Given::Nothing);
    }
    match put_back_as_former(context, pool, &record).await {
        Ok(()) => {}
        Err(error) if error.refusal().is_some() => {
            // The former manager's name, or the former value, is not accepted any more.
            let mut content = without_us(pool, None);
            content["spec"] = put_back(pool, &record);
            match context.writer.merge_pool(pool, content, MANAGER).await {
                Ok(()) => {}
                Err(error) => {
                    let Some(refusal) = error.refusal().map(str::to_owned) else { return Err(error) };
                    warn!(pool = pool.name(), refusal, "the former picker can't be put back");
                    forget(context, pool).await?;
                    return Ok(Given::Up(refusal));
                }
            }
        }
        Err(error) => return Err(error),
    }
    info!(pool = pool.name(), picker = record.previous["name"].as_str(), "gave the pool back");
    Ok(Given::Back)
}

async fn put_back_as_former(context: &Context, pool: &Pool, record: &Record) -> Result<(), WriteError> {
    let manager = record.manager.as_deref().unwrap_or(MANAGER);
    if managers::applies(pool, manager) {
        // Put back in its name it would be held by an update of its own, with which its next apply of
        // another value would be in conflict. So it is put back in ours, and the next look at the pool finds
        // the record and lets go of the fields.
        context.writer.merge_pool(pool, json!({"spec": put_back(pool, record)}), MANAGER).await
    } else {
        let mut content = without_us(pool, None);
        content["spec"] = put_back(pool, record);
        context.writer.merge_pool(pool, content, manager).await
    }
}

/// Leaves a pool to another manager, with what that one wrote and nothing of our making, and keeps a
/// record of it on the pool.
pub(super) async fn leave(context: &Context, pool: &Pool, record: &Record) -> Result<(), WriteError> {
    let mut content = without_us(pool, Some(record.write().unwrap_or_default()));
    content["spec"] = put_back(pool, record);
    context.writer.merge_pool(pool, content, MANAGER).await
}

/// Takes all that is ours from a pool, and leaves its reference as it is.
pub(super) async fn forget(context: &Context, pool: &Pool) -> Result<(), WriteError> {
    context.writer.merge_pool(pool, without_us(pool, None), MANAGER).await
}

fn put_back(pool: &Pool, record: &Record) -> Value {
    let live = pool.stored_ref.clone().unwrap_or_default();
    json!({pool.group.ref_field(): replacement(&live, &record.previous)})
}

/// A merge patch that takes us out of the managers of a pool. Applying without our fields would not do:
/// it removes the fields that nobody else holds.
fn without_us(pool: &Pool, record: Option<String>) -> Value {
    let mut managers = json!(managers::without_us(pool));
    if managers.as_array().is_some_and(Vec::is_empty) {
        // An empty list means "as it is"; a list of one empty entry means "none".
        managers = json!([{}]);
    }
    json!({"metadata": {"annotations": {ANNOTATION: record}, "managedFields": managers}})
}

/// The merge patch that makes `live` into `previous`, field by field.
fn replacement(live: &Value, previous: &Value) -> Value {
    let (Value::Object(live), Value::Object(previous)) = (live, previous) else { return previous.clone() };
    let mut patch: Map<String, Value> = live
        .keys()
        .filter(|field| !previous.contains_key(*field))
        .map(|field| (field.clone(), Value::Null))
        .collect();
    patch.extend(previous.iter().map(|(field, value)| (field.clone(), value.clone())));
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_former_reference_is_put_back_whole() {
        let live = json!({"group": "", "kind": "Service", "name": "qwen-picker", "port": {"number": 9002},
            "failureMode": "FailOpen"});
        let previous =
            json!({"group": "example.com", "kind": "Thing", "name": "old", "failureMode": "FailClose"});
        let patch = replacement(&live, &previous);
        assert_eq!(
            patch,
            json!({"group": "example.com", "kind": "Thing", "name": "old", "failureMode": "FailClose", "port": null})
        );
        assert_eq!(replacement(&live, &Value::Null), Value::Null);
    }
}
