//! The decision about a pool's endpointPickerRef: take it, leave it, or do nothing. Pure.

use crds::{Binding, PickerRef, Pool};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::record::{Left, Record};
use super::{contest, managers};

/// Everything that the decision about a pool depends on.
pub(super) struct Question<'a> {
    pub pool: &'a Pool,
    /// The reference that the pool should have.
    pub wanted: &'a PickerRef,
    pub binding: Binding,
    /// Whether a picker answers behind it.
    pub available: bool,
    pub strategy: &'a str,
    pub generation: i64,
    /// The record that this process wrote last to the pool, should the pool have lost it.
    pub remembered: Option<Record>,
    pub now: Timestamp,
}

/// The change of a pool that is decided on, and the state of its binding after it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    pub change: BindingChange,
    pub state: BindingState,
}

/// A change of a pool's reference and record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum BindingChange {
    Nothing,
    /// Apply our reference and the record, over other managers or not.
    Take {
        record: Record,
        force: bool,
    },
    /// Write the record again, to a pool that has our reference by our doing.
    Recall {
        record: Record,
    },
    /// Give up the reference as it is, and remember that.
    Leave {
        record: Record,
    },
    /// Take the record away: the pool names our picker by its owner's will.
    Forget,
}

/// The state of a pool's binding.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum BindingState {
    Bound,
    /// The pool is bound later, and nobody has to do anything.
    Waiting(String),
    /// The pool names our Service with another port, and is not ours to write.
    WrongPort(String),
    /// The reference is another manager's.
    Elsewhere(String),
    /// The reference is another manager's after it was ours, twice.
    Contested(String),
}

/// Decides about one pool.
pub(super) fn decide(q: &Question<'_>) -> Decision {
    let live = q.pool.picker();
    let record = Record::read(q.pool).or_else(|| q.remembered.clone());
    let own = record.clone().filter(|record| record.strategy == q.strategy);
    let manager = || managers::of_reference(q.pool);
    let is = |change, state| Decision { change, state };

    if live.as_ref() == Some(q.wanted) {
        let change = match recalled(q) {
            // What we left to another and now is as we want it, its owner wants.
            _ if own.is_some_and(|record| record.left.is_some()) => BindingChange::Forget,
            Some(record) => BindingChange::Recall { record },
            None => BindingChange::Nothing,
        };
        return is(change, BindingState::Bound);
    }
    if q.binding == Binding::Observe {
        return is(BindingChange::Nothing, observed(q, live.as_ref()));
    }
    if contest::is_kserve(q.pool) {
        return is(BindingChange::Nothing, BindingState::Elsewhere(contest::kserve()));
    }
    if let Some(left) = own.as_ref().and_then(|record| record.left.as_ref())
        && left.generation >= q.generation
    {
        return is(
            BindingChange::Nothing,
            BindingState::Contested(contest::fix(&left.manager, q.pool, &q.wanted.name)),
        );
    }
    // Written only where nothing is, or what we put there ourselves.
    let is_own = |live: &PickerRef| {
        own.as_ref()
            .is_some_and(|record| PickerRef::read(q.pool.group, &record.applied).as_ref() == Some(live))
    };
    if q.binding == Binding::Cooperative
        && let Some(live) = &live
        && !is_own(live)
    {
        return is(BindingChange::Nothing, observed(q, Some(live)));
    }
    if !q.available {
        let message = format!("pool {} is bound when a picker of {} is ready", q.pool.name(), q.wanted.name);
        return is(BindingChange::Nothing, BindingState::Waiting(message));
    }

    let applied = q.wanted.write(q.pool.group);
    let stored = q.pool.stored_ref.clone().unwrap_or(Value::Null);
    let force = q.binding == Binding::Takeover;
    // What is there is what a strategy put there: what was before that is to be given back.
    let names_ours = live.as_ref().is_some_and(|live| live.is_service(&q.wanted.name));
    let ours_before = live.is_some()
        && record
            .as_ref()
            .is_some_and(|r| r.left.is_none() && PickerRef::read(q.pool.group, &r.applied) == live);
    let flips = record.as_ref().map(|r| r.flips.clone()).unwrap_or_default();
    let mut next = match record {
        Some(record) if record.left.is_none() && (ours_before || names_ours) => record,
        record => {
            let previous = without_us(q.pool, stored, record.as_ref());
            Record { previous, manager: manager(), flips, ..Record::default() }
        }
    };
    next.strategy = q.strategy.to_owned();
    next.left = None;
    // We had applied just this, so another replaced it.
    let flipped =
        own.is_some_and(|record| record.left.is_none() && record.applied == applied) && !ours_before;
    next.applied = applied;
    if flipped {
        let manager = manager().unwrap_or_else(|| "another manager".to_owned());
        if next.flip(&manager, q.now) {
            next.left = Some(Left { manager: manager.clone(), generation: q.generation });
            let message = contest::fix(&manager, q.pool, &q.wanted.name);
            return is(BindingChange::Leave { record: next }, BindingState::Contested(message));
        }
    }
    is(BindingChange::Take { record: next, force }, BindingState::Bound)
}

/// The record that a pool with our reference should carry and doesn't: it was lost or made unreadable, or is
/// that of a strategy whose place this one has taken. What was there before is told by the other record or by
/// memory, and otherwise nobody knows it.
fn recalled(q: &Question<'_>) -> Option<Record> {
    if q.binding == Binding::Observe || !managers::we_hold_reference(q.pool) {
        return None;
    }
    let known = match Record::read(q.pool) {
        Some(record) if record.strategy == q.strategy || record.left.is_some() || !q.available => {
            return None;
        }
        Some(record) => Some(record),
        None => q.remembered.clone().filter(|record| record.left.is_none()),
    };
    let applied = q.wanted.write(q.pool.group);
    Some(Record { strategy: q.strategy.to_owned(), applied, ..known.unwrap_or_default() })
}

/// The reference `stored` without our fields: what only we hold of it is as it was before.
fn without_us(pool: &Pool, stored: Value, record: Option<&Record>) -> Value {
    let (Value::Object(mut fields), Some(record)) = (stored.clone(), record) else { return stored };
    for field in managers::only_ours(pool, stored.as_object().into_iter().flat_map(|s| s.keys().cloned())) {
        match record.previous.get(&field) {
            Some(before) => fields.insert(field, before.clone()),
            None => fields.remove(&field),
        };
    }
    Value::Object(fields)
}

fn observed(q: &Question<'_>, live: Option<&PickerRef>) -> BindingState {
    match live {
        Some(live) if live.is_service(&q.wanted.name) && live.port != q.wanted.port => {
            BindingState::WrongPort(format!(
                "pool {} names {} with another port; set it to {}",
                q.pool.name(),
                q.wanted.name,
                q.wanted.port.unwrap_or_default(),
            ))
        }
        // Only the failure mode differs, and that is the pool's own affair here.
        Some(live) if live.is_service(&q.wanted.name) => BindingState::Bound,
        live => elsewhere(q, live),
    }
}

fn elsewhere(q: &Question<'_>, live: Option<&PickerRef>) -> BindingState {
    let now = live.map_or_else(|| "no picker".to_owned(), |live| format!("{} {}", live.kind, live.name));
    let by = managers::of_reference(q.pool).map(|m| format!(", set by {m}")).unwrap_or_default();
    BindingState::Elsewhere(format!(
        "pool {} names {now}{by}; let it name {}, or use binding: Takeover",
        q.pool.name(),
        q.wanted.name
    ))
}

#[cfg(test)]
mod tests;
