//! Bounds of what the operator holds for its users: what is kept of their objects, and how much of one namespace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::RoutingStrategy;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use picker_core::config::revision;
use serde_json::{Value, json};
use tracing::warn;

use super::object::HeldObject;
use super::watch::{key, mapped};
use crate::kinds::Kind;

/// The most that is held of the strategies of one namespace, as they lie in memory, in bytes. Hundreds of usual ones, or
/// four of the largest.
const MOST_OF_STRATEGIES: usize = 8 << 20;
/// The most that is held of the objects of one namespace that have the operator's label, in bytes. Those of thousands of
/// strategies; whoever may make ServiceAccounts can give any of them that label.
const MOST_OF_OBJECTS: usize = 32 << 20;
/// The most that is held of an object that the operator made.
const MOST_OF_AN_OBJECT: usize = 1 << 20;

/// A value without what it contains: an entry of a map or a list, and what the allocator adds.
const A_VALUE: usize = 112;

/// About how much memory `value` takes, in bytes.
fn weight(value: &Value) -> usize {
    A_VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(fields) => fields.iter().map(|(name, field)| name.len() + weight(field)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// The room that the objects of a namespace share, and how much of it is taken in each namespace.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// In bytes.
    most: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Room {
    /// The room of strategies.
    pub fn of_strategies() -> Self {
        Self { most: MOST_OF_STRATEGIES, taken: Arc::default() }
    }

    /// The room of what the operator made for them, of all kinds together.
    pub fn of_objects() -> Self {
        Self { most: MOST_OF_OBJECTS, taken: Arc::default() }
    }

    /// The share of one watch.
    pub fn share(&self) -> Share {
        Share { room: self.clone(), taken: HashMap::new() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a room that is taken by the objects of one watch. It is given back with the value.
#[derive(Debug)]
pub(super) struct Share {
    room: Room,
    /// In bytes, by namespace and name.
    taken: HashMap<(String, String), usize>,
}

impl Share {
    /// Keeps the share in step with `event`, and withholds the routing and the pod template of a strategy for which there
    /// is no room. What its pickers serve stays: a strategy that can't be read changes nothing.
    pub fn strategy(&mut self, event: Event<RoutingStrategy>) -> Event<RoutingStrategy> {
        self.note(&event, |strategy| key(&strategy.metadata));
        match event {
            Event::Apply(strategy) => Event::Apply(self.bounded(strategy)),
            Event::InitApply(strategy) => Event::InitApply(self.bounded(strategy)),
            other => other,
        }
    }

    fn bounded(&mut self, mut strategy: RoutingStrategy) -> RoutingStrategy {
        let (namespace, name) = key(&strategy.metadata);
        // What pickers say in the status is not of its author.
        let own = weight(&serde_json::to_value(&strategy.spec).unwrap_or_default())
            + weight(&json!(strategy.metadata.finalizers));
        if let Err(others) = self.take(&namespace, &name, own) {
            warn!(namespace, name, own, others, "the strategies of this namespace are too large together");
            strategy.spec.withhold(&format!(
                "too large beside the other strategies of the namespace: {own} bytes in memory and {others}, more than \
                 {} together; make them smaller, and then change this one",
                self.room.most
            ));
        }
        strategy
    }

    /// Keeps the share in step with `event`, and holds of an object that is too large, or for which there is no room, its
    /// name and the operator's labels alone.
    pub fn object(&mut self, kind: Kind, event: Event<DynamicObject>) -> Event<HeldObject> {
        self.note(&event, |object| key(&object.metadata));
        let is_gone = matches!(event, Event::Delete(_));
        mapped(event, |mut object| {
            let (namespace, name) = key(&object.metadata);
            let is_small = trim(kind, &mut object);
            let held = HeldObject::from(&object);
            if is_gone || is_small && self.take(&namespace, &name, held.size()).is_ok() {
                return held;
            }
            warn!(
                namespace,
                name,
                ?kind,
                "an object, or those of its namespace together, are too large; it counts as empty"
            );
            HeldObject::bare(&object)
        })
    }

    /// Gives back what objects had that are gone, or are listed anew.
    fn note<K>(&mut self, event: &Event<K>, key: impl Fn(&K) -> (String, String)) {
        match event {
            Event::Init => self.clear(),
            Event::Delete(object) => {
                let key = key(object);
                let weight = self.taken.remove(&key).unwrap_or_default();
                give_back(&mut self.room.lock(), &key.0, weight);
            }
            Event::InitDone | Event::Apply(_) | Event::InitApply(_) => {}
        }
    }

    /// Takes `weight` bytes for an object in the place of what it had.
    ///
    /// # Errors
    /// When there is not so much room: what the others have. The object has nothing then.
    fn take(&mut self, namespace: &str, name: &str, weight: usize) -> Result<(), usize> {
        let mut rooms = self.room.lock();
        let key = (namespace.to_owned(), name.to_owned());
        let before = self.taken.remove(&key).unwrap_or_default();
        give_back(&mut rooms, namespace, before);
        let others = rooms.get(namespace).copied().unwrap_or_default();
        if others + weight > self.room.most {
            return Err(others);
        }
        rooms.insert(key.0.clone(), others + weight);
        self.taken.insert(key, weight);
        Ok(())
    }

    fn clear(&mut self) {
        let mut rooms = self.room.lock();
        for ((namespace, _), weight) in self.taken.drain() {
            give_back(&mut rooms, &namespace, weight);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

fn give_back(rooms: &mut HashMap<String, usize>, namespace: &str, weight: usize) {
    if let Some(taken) = rooms.get_mut(namespace) {
        *taken = taken.saturating_sub(weight);
        if *taken == 0 {
            rooms.remove(namespace);
        }
    }
}

/// Takes away what is not held of an object that the operator made: of a routing in the history all but its revision,
/// since the pickers alone read the routing. Returns whether what is left is small enough.
fn trim(kind: Kind, object: &mut DynamicObject) -> bool {
    object.metadata.managed_fields = None;
    if kind == Kind::ControllerRevision
        && let Some(data) = object.data.get_mut("data")
    {
        *data = revision_in_cache(data);
    }
    weight(&object.data) <= MOST_OF_AN_OBJECT
}

/// What the cache has in the place of `routing` in the history.
pub fn revision_in_cache(routing: &Value) -> Value {
    Value::String(revision(routing))
}

#[cfg(test)]
mod tests;
