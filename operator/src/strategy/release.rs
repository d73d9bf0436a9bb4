//! Giving pools back: the way out of a pool, and of the world.

use std::time::{Duration, Instant};

use crds::{PickerRef, Pool};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use super::apply::{Done, auth, serves_a_pool};
use super::claims::{claims, holder};
use super::dereference::Snapshot;
use super::record::{ANNOTATION, Record};
use super::validate::Valid;
use super::{Context, Error, FINALIZER, events, managers, status};
use crate::MANAGER;
use crate::kinds::Kind;
use crate::names;
use crate::write::WriteError;

/// How often to try again what the API server refused: whatever it is that refuses may come to think better.
const REFUSED_AGAIN: Duration = Duration::from_secs(10);

/// For how long the former reference may be refused before a strategy that is being deleted gives up. One
/// that lives on never does: its pickers serve as long as the pool refers to them.
const GIVE_UP: Duration = Duration::from_secs(60);

/// How soon to try to finish again when a pool turned out to be held still.
pub(super) const FINISH_AGAIN: Duration = Duration::from_secs(5);

/// Gives back the pools that the strategy had and no longer claims, or lost to another.
pub(super) async fn unclaimed(context: &Context, snapshot: &Snapshot, valid: &Valid, done: &mut Done) {
    for (pool, record) in held(context, snapshot) {
        let claimed = valid.own().any(|c| c.pool.group == pool.group && c.pool.name() == pool.name());
        if claimed {
            continue;
        }
        match give_back(context, pool, &record).await {
            Ok(Given::Back) => done.released.push(pool.name().to_owned()),
            Ok(Given::Nothing) => {}
            Ok(Given::Refused(refusal)) => {
                // Its pickers serve on, so there is time.
                warn!(pool = pool.name(), refusal, "the former picker can't be put back; trying on");
                done.blocked.insert(pool.name().to_owned(), refusal);
                done.look_again(REFUSED_AGAIN);
            }
            Err(error) => blocked(pool, error, done),
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
    Refused(String),
}

/// Works on a strategy that is being deleted: its pools are given back, its pickers serve on while
/// gateways follow, and then it is let go, with all that it owns.
pub(super) async fn deleted(context: &Context, snapshot: &Snapshot) -> Result<Action, Error> {
    if !snapshot.has_finalizer() {
        return Ok(Action::await_change());
    }
    let mut done = Done::default();
    for (pool, record) in held(context, snapshot) {
        // One that fails holds no other up.
        match give_back(context, pool, &record).await {
            Ok(Given::Back) => done.released.push(pool.name().to_owned()),
            Ok(Given::Nothing) => {}
            Ok(Given::Refused(refusal)) if context.memory.refused(pool.uid(), Instant::now()) < GIVE_UP => {
                warn!(pool = pool.name(), refusal, "the former picker can't be put back; trying again");
                done.blocked.insert(pool.name().to_owned(), refusal);
            }
            Ok(Given::Refused(refusal)) => match forget(context, pool).await {
                Ok(()) => {
                    context.memory.forget(pool.uid());
                    done.given_up.push((pool.name().to_owned(), refusal));
                }
                Err(error) => blocked(pool, error, &mut done),
            },
            Err(error) => blocked(pool, error, &mut done),
        }
    }
    events::released(context, snapshot, &done).await;
    if !done.blocked.is_empty() {
        status::releasing(context, snapshot, &done, Timestamp::now()).await?;
    }
    if let Some(error) = done.error {
        return Err(error.into());
    }
    if !done.blocked.is_empty() {
        return Ok(Action::requeue(REFUSED_AGAIN));
    }
    let serving = snapshot.owned.iter().any(|(kind, live)| {
        let name = live.metadata.name.as_deref().unwrap_or_default();
        *kind == Kind::Deployment && snapshot.owns(live) && serves_a_pool(snapshot, name)
    });
    if serving && let Some(left) = context.memory.hold(snapshot.uid(), context.release_hold, Instant::now()) {
        return Ok(Action::requeue(left));
    }
    match finish(context, snapshot).await {
        Ok(None) => {
            context.memory.end_hold(snapshot.uid());
            Ok(Action::await_change())
        }
        Ok(Some(pool)) => {
            // The cache will come to know it; should it not, it is asked for again, and said.
            if done.released.is_empty() {
                done.blocked.insert(pool, "it still carries our record or reference".to_owned());
                status::releasing(context, snapshot, &done, Timestamp::now()).await?;
            }
            Ok(Action::requeue(FINISH_AGAIN))
        }
        Err(error) => {
            if !error.is_conflict() {
                done.blocked.insert(String::new(), error.to_string());
                status::releasing(context, snapshot, &done, Timestamp::now()).await?;
            }
            Err(error.into())
        }
    }
}

/// Notes that a pool could not be given back.
fn blocked(pool: &Pool, error: WriteError, done: &mut Done) {
    // What changed meanwhile is decided about anew at once.
    if !error.is_conflict() {
        done.blocked.insert(pool.name().to_owned(), error.to_string());
    }
    done.failed(error);
}

/// Takes the finalizer away, and what no owner reference would remove with the strategy, when the strategy holds
/// no pool of the namespace any more, which is asked of the API server itself. Returns the name of a pool that is
/// in the way.
pub(super) async fn finish(context: &Context, snapshot: &Snapshot) -> Result<Option<String>, WriteError> {
    for group in crds::PoolGroup::ALL.into_iter().filter(|group| context.cache.serves(*group)) {
        let pools = context.writer.pools(group, snapshot.namespace()).await?;
        if let Some(pool) = pools.iter().find(|pool| holds(snapshot, pool)) {
            // The cache will see it too, and then it is given back.
            return Ok(Some(pool.name().to_owned()));
        }
    }
    auth::remove(context, snapshot).await?;
    context.writer.remove_finalizer(&snapshot.strategy, FINALIZER).await?;
    Ok(None)
}

/// Whether a pool refers to the Service called `picker` and is still to be given back: its pickers can't go.
pub(super) fn is_to_give_back(snapshot: &Snapshot, picker: &str) -> bool {
    snapshot.pools.iter().any(|pool| {
        names::picker(pool.group, pool.name()) == picker && names_its_picker(pool) && holds(snapshot, pool)
    })
}

/// The pools that this strategy holds, and what is known of their time before. Where the record was lost,
/// memory tells, or nobody: then there was no reference.
pub(super) fn held<'a>(context: &Context, snapshot: &'a Snapshot) -> Vec<(&'a Pool, Record)> {
    let held = snapshot.pools.iter().filter(|pool| holds(snapshot, pool));
    held.map(|pool| {
        let record = Record::read(pool).or_else(|| context.memory.record(pool.uid()));
        (&**pool, record.unwrap_or_default())
    })
    .collect()
}

/// Whether a pool that is there is this strategy's to give back: by its record, or, where that was lost,
/// because it refers to our Service by our doing.
fn holds(snapshot: &Snapshot, pool: &Pool) -> bool {
    if pool.metadata.deletion_timestamp.is_some() {
        return false;
    }
    if let Some(record) = Record::read(pool) {
        return record.strategy == snapshot.name();
    }
    let picker = names::picker(pool.group, pool.name());
    let is_ours = || {
        let service = snapshot.object(Kind::Service, &picker);
        let others = snapshot.others.iter().map(|other| &**other);
        service.is_some_and(|service| snapshot.owns(service))
            || claims(&snapshot.strategy, pool) && holder(&snapshot.strategy, others, pool).is_none()
    };
    names_its_picker(pool) && managers::we_hold_reference(pool) && is_ours()
}

/// Whether a pool refers to the Service that is made for it.
fn names_its_picker(pool: &Pool) -> bool {
    pool.picker().is_some_and(|live| live.is_service(&names::picker(pool.group, pool.name())))
}

/// Puts back what a pool referred to before, if it still refers to us, which it returns; leaves nothing of
/// ours on it in the end.
async fn give_back(context: &Context, pool: &Pool, record: &Record) -> Result<Given, WriteError> {
    if !names_its_picker(pool) || is_where_it_was(pool, record) {
        forget(context, pool).await?;
        context.memory.forget(pool.uid());
        return Ok(Given::Nothing);
    }
    match put_back_as_former(context, pool, record).await {
        Ok(()) => {}
        Err(error) if error.refusal().is_some() => {
            // The former manager's name, or the former value, is not accepted any more.
            let mut content = without_us(pool, None);
            content["spec"] = put_back(pool, record);
            match context.writer.merge_pool(pool, content, MANAGER).await {
                Ok(()) => {}
                Err(error) => {
                    return error.refusal().map(|why| Given::Refused(why.to_owned())).ok_or(error);
                }
            }
        }
        Err(error) => return Err(error),
    }
    context.memory.forget(pool.uid());
    info!(pool = pool.name(), picker = record.previous["name"].as_str(), "gave the pool back");
    Ok(Given::Back)
}

/// Whether putting the former reference back would leave the pool as it is, or with our Service: its owner
/// named that before us. To wait for the reference to become another would be to wait for ever.
fn is_where_it_was(pool: &Pool, record: &Record) -> bool {
    let picker = names::picker(pool.group, pool.name());
    let named_ours = PickerRef::read(pool.group, &record.previous).is_some_and(|p| p.is_service(&picker));
    named_ours || pool.stored_ref.as_ref().unwrap_or(&Value::Null) == &record.previous
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
    use std::sync::Arc;

    use super::*;
    use crate::strategy::validate::testing::{pool, snapshot};

    /// A tool may have named our Service, with a failure mode of its own, before we took the pool.
    #[test]
    fn a_pool_whose_owner_named_us_before_is_where_it_was() {
        let mut pool = pool("qwen", "x");
        let reference = |name: &str, mode: &str| PickerRef::service(name, 9002, mode).write(pool.group);
        let record = |previous: Value| Record { previous, ..Record::default() };
        let before = [
            (reference("qwen-picker", "FailClose"), true),
            (reference("old-epp", "FailOpen"), false),
            (Value::Null, false),
        ];
        pool.stored_ref = Some(reference("qwen-picker", "FailOpen"));
        for (previous, wanted) in before {
            assert_eq!(is_where_it_was(&pool, &record(previous.clone())), wanted, "{previous}");
        }
    }

    #[test]
    fn pickers_stay_while_a_pool_that_was_taken_refers_to_them() {
        let mut world = snapshot();
        let record = Record { strategy: "chat".to_owned(), ..Record::default() };
        let mut taken = pool("qwen", "qwen-picker");
        assert!(!is_to_give_back(&world, "qwen-picker"));
        world.pools = vec![Arc::new(taken.clone())];
        assert!(!is_to_give_back(&world, "qwen-picker"));
        taken.metadata.annotations = Some([(ANNOTATION.to_owned(), record.write().unwrap())].into());
        world.pools = vec![Arc::new(taken.clone())];
        assert!(is_to_give_back(&world, "qwen-picker") && !is_to_give_back(&world, "llama-picker"));
        taken.stored_ref = pool("qwen", "old-epp").stored_ref;
        world.pools = vec![Arc::new(taken)];
        assert!(!is_to_give_back(&world, "qwen-picker"));
    }

    #[test]
    fn a_pool_whose_record_was_lost_is_held_by_its_fields() {
        let mut world = snapshot();
        let mut lost = pool("qwen", "qwen-picker");
        assert!(!holds(&world, &lost));
        lost.metadata.managed_fields = serde_json::from_value(json!([{
            "manager": MANAGER, "operation": "Apply", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:endpointPickerRef": {"f:name": {}}}},
        }]))
        .unwrap();
        assert!(holds(&world, &lost));
        Arc::make_mut(&mut world.strategy).spec.pools.clear();
        assert!(!holds(&world, &lost));
        let other = Record { strategy: "other".to_owned(), ..Record::default() };
        lost.metadata.annotations = Some([(ANNOTATION.to_owned(), other.write().unwrap())].into());
        assert!(!holds(&snapshot(), &lost));
    }

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
