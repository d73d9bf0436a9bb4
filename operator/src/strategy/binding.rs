//! The decision about a pool's endpointPickerRef: take it, leave it, or do nothing. Pure.

use crds::{Binding, FailureMode, PickerRef, Pool};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::record::{Left, Record};
use super::{contest, managers};

/// Everything that the decision about a pool depends on.
pub(super) struct Question<'a> {
    pub pool: &'a Pool,
    /// The reference that the pool should have; without a failure mode, that one is the pool's own affair.
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
    /// The pool is bound, and another failure mode than the strategy's is in it by somebody's will.
    OtherMode(String),
    /// The pool is bound later, and nobody has to do anything.
    Waiting(String),
    /// The pool names our Service with another port, and is not ours to write.
    WrongPort(String),
    /// The reference is another manager's.
    Elsewhere(String),
    /// The reference is another manager's after it was ours, twice.
    Contested(String),
}

impl BindingState {
    /// Whether the pool refers to its pickers.
    pub fn is_bound(&self) -> bool {
        matches!(self, Self::Bound | Self::OtherMode(_))
    }
}

/// Decides about one pool.
pub(super) fn decide(q: &Question<'_>) -> Decision {
    let live = q.pool.picker();
    let record = Record::read(q.pool).or_else(|| q.remembered.clone());
    let own = record.clone().filter(|record| record.strategy == q.strategy);
    let manager = || managers::of_reference(q.pool);
    let is = |change, state| Decision { change, state };

    let mode = failure_mode(q, live.as_ref());
    let wanted = PickerRef { failure_mode: mode, ..q.wanted.clone() };
    let applied = wanted.write(q.pool.group);
    // Whether a reference is the one that we applied, with whatever failure mode where we applied none.
    let is_applied = |record: &Record, live: &PickerRef| {
        PickerRef::read(q.pool.group, &record.applied).is_some_and(|applied| {
            applied.names_same(live)
                && (record.applied["failureMode"].is_null() || applied.failure_mode == live.failure_mode)
        })
    };

    let same = live.as_ref().filter(|live| live.names_same(&wanted));
    if let Some(live) = same {
        let other_mode = wanted.failure_mode.is_some() && wanted.failure_mode != live.failure_mode;
        let may_write = match q.binding {
            // What was put in the place of what we had applied is left to whoever did it.
            Binding::Takeover => {
                !contest::is_kserve(q.pool)
                    && own.as_ref().is_none_or(|own| own.left.is_none() && own.applied != applied)
            }
            Binding::Cooperative => own.as_ref().is_some_and(|own| is_applied(own, live)),
            Binding::Observe => false,
        };
        if !(other_mode && may_write) {
            let change = match recalled(q, &applied) {
                // What we left to another and now is as we want it, its owner wants.
                _ if own.is_some_and(|record| record.left.is_some()) => BindingChange::Forget,
                Some(record) => BindingChange::Recall { record },
                None => BindingChange::Nothing,
            };
            let state = match other_mode {
                true => BindingState::OtherMode(contest::other_mode(q.pool, live, &wanted)),
                false => BindingState::Bound,
            };
            return is(change, state);
        }
    }
    if q.binding == Binding::Observe {
        return is(BindingChange::Nothing, observed(q, live.as_ref(), &wanted));
    }
    if contest::is_kserve(q.pool) {
        return is(BindingChange::Nothing, BindingState::Elsewhere(contest::kserve()));
    }
    if let Some(left) = own.as_ref().and_then(|record| record.left.as_ref())
        && left.generation >= q.generation
    {
        return is(BindingChange::Nothing, left_to(q, &left.manager, live.as_ref(), &wanted));
    }
    // Written only where nothing is, or what we put there ourselves.
    let is_own = |live: &PickerRef| own.as_ref().is_some_and(|record| is_applied(record, live));
    if q.binding == Binding::Cooperative
        && let Some(live) = &live
        && !is_own(live)
    {
        return is(BindingChange::Nothing, observed(q, Some(live), &wanted));
    }
    // A failure mode alone is written also when no picker answers: that is when it matters.
    if !q.available && (same.is_none() || own.is_none()) {
        let message = format!("pool {} is bound when a picker of {} is ready", q.pool.name(), q.wanted.name);
        return is(BindingChange::Nothing, BindingState::Waiting(message));
    }

    let stored = q.pool.stored_ref.clone().unwrap_or(Value::Null);
    let force = q.binding == Binding::Takeover;
    // What is there is what a strategy put there: what was before that is to be given back.
    let names_ours = live.as_ref().is_some_and(|live| live.is_service(&q.wanted.name));
    let ours_before = live.as_ref().is_some_and(|live| {
        record.as_ref().is_some_and(|record| record.left.is_none() && is_applied(record, live))
    });
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
    // We had applied just this picker, so another replaced it.
    let flipped = same.is_none()
        && !ours_before
        && own.is_some_and(|record| record.left.is_none() && is_applied_picker(q, &record, &wanted));
    next.applied = applied;
    if flipped {
        let manager = manager().unwrap_or_else(|| "another manager".to_owned());
        if next.flip(&manager, q.now) {
            next.left = Some(Left { manager: manager.clone(), generation: q.generation });
            let state = left_to(q, &manager, live.as_ref(), &wanted);
            return is(BindingChange::Leave { record: next }, state);
        }
    }
    is(BindingChange::Take { record: next, force }, BindingState::Bound)
}

/// The failure mode that a pool should have from us: the strategy's. Where it says nothing, the pool keeps its own: one
/// that others hold we don't write, one that we wrote for an earlier spec we go on writing, and a pool that
/// names no picker has none.
fn failure_mode(q: &Question<'_>, live: Option<&PickerRef>) -> Option<String> {
    if q.wanted.failure_mode.is_some() {
        return q.wanted.failure_mode.clone();
    }
    let Some(live) = live else { return Some(FailureMode::FailOpen.as_str().to_owned()) };
    let ours = live.is_service(&q.wanted.name)
        && !managers::only_ours(q.pool, ["failureMode".to_owned()]).is_empty();
    live.failure_mode.clone().filter(|_| ours)
}

/// Whether `record` is of the picker `wanted`, with whatever failure mode.
fn is_applied_picker(q: &Question<'_>, record: &Record, wanted: &PickerRef) -> bool {
    PickerRef::read(q.pool.group, &record.applied).is_some_and(|applied| applied.names_same(wanted))
}

/// The state of a pool that was left to `manager`. One that names our Service needs its port alone.
fn left_to(q: &Question<'_>, manager: &str, live: Option<&PickerRef>, wanted: &PickerRef) -> BindingState {
    match live.filter(|live| live.is_service(&wanted.name)) {
        Some(live) => observed(q, Some(live), wanted),
        None => BindingState::Contested(contest::fix(manager, q.pool, wanted)),
    }
}

/// The record that a pool with our reference should carry and doesn't: it was lost or made unreadable, or is
/// that of a strategy whose place this one has taken. What was there before is told by the other record or by
/// memory, and otherwise nobody knows it.
fn recalled(q: &Question<'_>, applied: &Value) -> Option<Record> {
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
    Some(Record { strategy: q.strategy.to_owned(), applied: applied.clone(), ..known.unwrap_or_default() })
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

fn observed(q: &Question<'_>, live: Option<&PickerRef>, wanted: &PickerRef) -> BindingState {
    match live {
        Some(live) if live.is_service(&wanted.name) && live.port != wanted.port => {
            BindingState::WrongPort(format!(
                "pool {} names {} with another port; set it to {}",
                q.pool.name(),
                wanted.name,
                wanted.port.unwrap_or_default(),
            ))
        }
        live => elsewhere(q, live, wanted),
    }
}

fn elsewhere(q: &Question<'_>, live: Option<&PickerRef>, wanted: &PickerRef) -> BindingState {
    let now = live.map_or_else(|| "no picker".to_owned(), |live| format!("{} {}", live.kind, live.name));
    let by = managers::of_reference(q.pool).map(|m| format!(", set by {m}")).unwrap_or_default();
    BindingState::Elsewhere(format!(
        "pool {} names {now}{by}; set {}, or use binding: Takeover",
        q.pool.name(),
        contest::line(q.pool, wanted)
    ))
}

#[cfg(test)]
mod tests;
