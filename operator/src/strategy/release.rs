//! Restores a pool's previous endpointPickerRef when a strategy lets it go or is deleted. Pure: what is to be written
//! is a value.

use std::sync::Arc;

use crds::{PickerRef, Pool};
use serde_json::{Map, Value, json};

use super::claims::{claims, holder};
use super::managers;
use super::record::{ANNOTATION, Record};
use super::snapshot::Snapshot;
use crate::kinds::Kind;
use crate::names::{self, MANAGER};

/// A merge patch of a pool, and the field manager in whose name it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PoolPatch {
    pub content: Value,
    pub manager: String,
}

/// The return of a pool to what it referred to before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GiveBack {
    pub pool: Arc<Pool>,
    /// Restores the reference; `None` where it is another already.
    pub restore: Option<Restore>,
}

/// The patches that restore a pool's previous reference: the second where the API server refuses the first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Restore {
    pub first: PoolPatch,
    pub otherwise: PoolPatch,
    /// Name of the picker that the pool gets back, if there was one.
    pub picker: Option<String>,
}

/// The return of `pool` to what it referred to before, by its `record`. A pool that refers to something else by now is
/// only rid of our fields.
pub(super) fn give_back(pool: &Arc<Pool>, record: &Record) -> GiveBack {
    let restored = names_its_picker(pool) && !is_where_it_was(pool, record);
    let restore = restored.then(|| Restore {
        first: put_back_as_former(pool, record),
        // The former manager's name, or the former value, may not be accepted any more.
        otherwise: PoolPatch {
            content: put_back_without_us(pool, record, None),
            manager: MANAGER.to_owned(),
        },
        picker: record.previous["name"].as_str().map(str::to_owned),
    });
    GiveBack { pool: Arc::clone(pool), restore }
}

/// The patch that takes our fields and record from a pool, and leaves its reference as it is.
pub(super) fn forget(pool: &Pool) -> PoolPatch {
    PoolPatch { content: without_us(pool, None), manager: MANAGER.to_owned() }
}

/// The patch that leaves a pool to another manager, with what that one wrote and nothing of our making, and keeps a record of it on
/// the pool.
pub(super) fn leave(pool: &Pool, record: &Record) -> PoolPatch {
    let content = put_back_without_us(pool, record, Some(record.write().unwrap_or_default()));
    PoolPatch { content, manager: MANAGER.to_owned() }
}

/// Whether a pool refers to the Service called `picker` and is still to be given back: its pickers can't go.
pub(super) fn is_to_give_back(snapshot: &Snapshot, picker: &str) -> bool {
    snapshot.pools.iter().any(|pool| {
        names::picker(pool.group, pool.name()) == picker && names_its_picker(pool) && holds(snapshot, pool)
    })
}

/// The pools that this strategy holds, each with the record of its previous reference. Where the record was lost,
/// memory tells, or nobody: then there was no reference.
pub(super) fn held(snapshot: &Snapshot) -> Vec<(&Arc<Pool>, Record)> {
    let held = snapshot.pools.iter().filter(|pool| holds(snapshot, pool));
    held.map(|pool| {
        let record = Record::read(pool).or_else(|| snapshot.remembered.records.get(pool.uid()).cloned());
        (pool, record.unwrap_or_default())
    })
    .collect()
}

/// Whether a pool that is there is this strategy's to give back: by its record, or, where that was lost,
/// because it refers to our Service by our doing.
pub(super) fn holds(snapshot: &Snapshot, pool: &Pool) -> bool {
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

/// Whether putting the former reference back would leave the pool as it is, or with our Service: its owner
/// named that before us. To wait for the reference to become another would be to wait for ever.
fn is_where_it_was(pool: &Pool, record: &Record) -> bool {
    let picker = names::picker(pool.group, pool.name());
    let named_ours = PickerRef::read(pool.group, &record.previous).is_some_and(|p| p.is_service(&picker));
    named_ours || pool.stored_ref.as_ref().unwrap_or(&Value::Null) == &record.previous
}

fn put_back_as_former(pool: &Pool, record: &Record) -> PoolPatch {
    let manager = record.manager.as_deref().unwrap_or(MANAGER);
    if managers::applies(pool, manager) {
        // Put back in its name it would be held by an update of its own, with which its next apply of
        // another value would be in conflict. So it is put back in ours, and the next look at the pool finds
        // the record and lets go of the fields.
        PoolPatch { content: json!({"spec": put_back(pool, record)}), manager: MANAGER.to_owned() }
    } else {
        PoolPatch { content: put_back_without_us(pool, record, None), manager: manager.to_owned() }
    }
}

fn put_back_without_us(pool: &Pool, record: &Record, annotation: Option<String>) -> Value {
    let mut content = without_us(pool, annotation);
    content["spec"] = put_back(pool, record);
    content
}

fn put_back(pool: &Pool, record: &Record) -> Value {
    let live = pool.stored_ref.clone().unwrap_or_default();
    let mut previous = record.previous.clone();
    // Where we wrote no failure mode, that of the pool is its owner's, and may be newer than our record.
    if let (Value::Object(previous), None, Some(mode)) =
        (&mut previous, record.applied.get("failureMode"), live.get("failureMode"))
        && record.applied.is_object()
    {
        previous.insert("failureMode".to_owned(), mode.clone());
    }
    json!({pool.group.ref_field(): replacement(&live, &previous)})
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
mod tests;
