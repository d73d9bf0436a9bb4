//! State of plugins that outlives a change of strategy: prefix indexes and the like.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::column::Columns;

/// What a plugin may keep across a change of strategy: a table whose memory is bounded, and told in a metric.
pub trait State: Any + Send + Sync {
    /// Bytes of memory that it takes now, about.
    fn bytes(&self) -> usize;

    /// The most bytes that it can come to, whatever clients send and however often pods come and go.
    fn max_bytes(&self) -> usize;
}

/// How much memory the state of one instance takes, or that which all instances of a type share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The plugin type.
    pub kind: &'static str,
    /// Name of the instance; empty for what all of the type share.
    pub name: String,
    /// Bytes that it takes now.
    pub bytes: usize,
    /// The most bytes that it can come to.
    pub max_bytes: usize,
}

/// What the state of an instance depends on, in words that compare equal only if the state can be kept
/// (for example its block size and capacity).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub String);

type Key = (&'static str, String);
type Entry = (Shape, Arc<dyn State>);

/// `state` as one of type `S`, if it is.
fn of_type<S: State>(state: &Arc<dyn State>) -> Option<Arc<S>> {
    let any: Arc<dyn Any + Send + Sync> = state.clone();
    any.downcast().ok()
}

/// The states of the strategy that serves. Read when a strategy is compiled, never for a request.
#[derive(Debug, Default)]
pub struct StateStore {
    kept: Mutex<Kept>,
}

/// What outlives a change of strategy.
#[derive(Clone, Default)]
struct Kept {
    entries: BTreeMap<Key, Entry>,
    /// The columns of views, which keep their numbers for good.
    columns: Columns,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

impl StateStore {
    /// A list of the states that a new strategy will have; nothing changes before
    /// [`StateStore::commit`].
    pub(crate) fn stage(&self) -> Staging {
        let Kept { entries, columns } = self.kept().clone();
        Staging { old: entries, new: BTreeMap::new(), resets: Vec::new(), columns }
    }

    /// The state of the instance `name` of type `kind`.
    #[cfg(test)]
    pub(crate) fn get<S: State>(&self, kind: &'static str, name: &str) -> Option<Arc<S>> {
        of_type(&self.kept().entries.get(&(kind, name.to_owned()))?.1)
    }

    /// All states, by type and name.
    #[cfg(test)]
    pub(crate) fn held(&self) -> BTreeMap<(&'static str, String), Arc<dyn State>> {
        self.kept().entries.iter().map(|(key, (_, state))| (key.clone(), state.clone())).collect()
    }

    /// How much memory each state takes, by type and name.
    pub fn tables(&self) -> Vec<Table> {
        let table = |((kind, name), (_, state)): (&Key, &Entry)| Table {
            kind,
            name: name.clone(),
            bytes: state.bytes(),
            max_bytes: state.max_bytes(),
        };
        self.kept().entries.iter().map(table).collect()
    }

    /// Makes `staging` what the store holds. States that it doesn't have are let go.
    pub(crate) fn commit(&self, staging: Staging) {
        *self.kept() = Kept { entries: staging.new, columns: staging.columns };
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// States of a strategy that is being compiled.
pub(crate) struct Staging {
    old: BTreeMap<Key, Entry>,
    new: BTreeMap<Key, Entry>,
    resets: Vec<String>,
    pub(crate) columns: Columns,
}

impl Staging {
    pub fn state<S: State>(
        &mut self,
        kind: &'static str,
        name: &str,
        shape: Shape,
        make: impl FnOnce() -> S,
    ) -> Arc<S> {
        let key = (kind, name.to_owned());
        let kept = match self.old.get(&key) {
            Some((old, state)) if *old == shape => of_type::<S>(state),
            Some(_) => {
                self.resets.push(name.to_owned());
                None
            }
            None => None,
        };
        let state = kept.unwrap_or_else(|| Arc::new(make()));
        self.new.insert(key, (shape, state.clone()));
        state
    }

    /// The state that all instances of type `kind` share, of whatever shape they are.
    pub fn shared<S: State>(&mut self, kind: &'static str, make: impl FnOnce() -> S) -> Arc<S> {
        // No instance is without a name.
        let key = (kind, String::new());
        let kept = self.new.get(&key).or_else(|| self.old.get(&key));
        let kept = kept.and_then(|(_, state)| of_type::<S>(state));
        let state = kept.unwrap_or_else(|| Arc::new(make()));
        self.new.insert(key, (Shape(String::new()), state.clone()));
        state
    }

    /// Names of instances whose state could not be kept because their shape changed.
    pub fn resets(&self) -> &[String] {
        &self.resets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl State for u32 {
        fn bytes(&self) -> usize {
            *self as usize
        }

        fn max_bytes(&self) -> usize {
            10
        }
    }

    fn shape(text: &str) -> Shape {
        Shape(text.to_owned())
    }

    #[test]
    fn state_is_kept_by_type_name_and_shape() {
        let store = StateStore::default();
        let mut first = store.stage();
        let a = first.state("index", "a", shape("1"), || 1_u32);
        let b = first.state("index", "b", shape("1"), || 2_u32);
        assert_eq!((*a, *b), (1, 2));
        store.commit(first);

        let mut second = store.stage();
        let same = second.state("index", "a", shape("1"), || 3_u32);
        let reshaped = second.state("index", "b", shape("2"), || 4_u32);
        let other_type = second.state("table", "a", shape("1"), || 5_u32);
        assert!(Arc::ptr_eq(&a, &same));
        assert_eq!((*reshaped, *other_type), (4, 5));
        assert_eq!(second.resets(), ["b"]);
    }

    #[test]
    fn instances_of_a_type_share_a_state_and_later_ones_have_it_too() {
        let store = StateStore::default();
        let mut first = store.stage();
        let [a, b] = [1_u32, 2].map(|n| first.shared("index", || n));
        let other = first.shared("table", || 3_u32);
        store.commit(first);
        let again = store.stage().shared("index", || 4_u32);
        assert_eq!([*a, *b, *other, *again], [1, 1, 3, 1]);
    }

    #[test]
    fn the_memory_of_each_state_is_told() {
        let store = StateStore::default();
        let mut staging = store.stage();
        staging.state("table", "a", shape("1"), || 1_u32);
        staging.shared("index", || 2_u32);
        store.commit(staging);
        let table = |kind, name: &str, bytes| Table { kind, name: name.to_owned(), bytes, max_bytes: 10 };
        assert_eq!(store.tables(), [table("index", "", 2), table("table", "a", 1)]);
    }

    #[test]
    fn nothing_changes_before_the_commit() {
        let store = StateStore::default();
        let mut first = store.stage();
        let kept = first.state("index", "a", shape("1"), || 1_u32);
        store.commit(first);
        let mut dropped = store.stage();
        dropped.state("index", "a", shape("2"), || 2_u32);
        drop(dropped);
        assert!(Arc::ptr_eq(&kept, &store.get("index", "a").unwrap()));
    }

    #[test]
    fn state_that_nobody_has_is_let_go() {
        let store = StateStore::default();
        let mut first = store.stage();
        let gone = Arc::downgrade(&first.state("index", "a", shape("1"), || 1_u32));
        store.commit(first);
        assert!(gone.upgrade().is_some());
        store.commit(store.stage());
        assert!(gone.upgrade().is_none());
    }
}
