//! An index of the objects of one kind, by namespace and name.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Objects<V> = HashMap<String, BTreeMap<String, Arc<V>>>;

/// A cache of one kind: written by one watch, read by reconciles.
#[derive(Debug)]
pub struct Index<V> {
    objects: RwLock<Objects<V>>,
    state: AtomicU8,
}

const UNKNOWN: u8 = 0;
/// The API is not installed, so there is nothing to list.
const ABSENT: u8 = 1;
const LISTED: u8 = 2;

impl<V> Default for Index<V> {
    fn default() -> Self {
        Self { objects: RwLock::default(), state: AtomicU8::new(UNKNOWN) }
    }
}

impl<V> Index<V> {
    /// Whether its objects were listed at least once.
    pub fn is_listed(&self) -> bool {
        self.state.load(Ordering::Acquire) == LISTED
    }

    /// Whether its objects were listed, or are known not to exist because their API doesn't.
    pub fn is_decided(&self) -> bool {
        self.state.load(Ordering::Acquire) != UNKNOWN
    }

    /// The object called `name`.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        self.read().get(namespace)?.get(name).cloned()
    }

    /// All objects of a namespace, by name.
    pub fn within(&self, namespace: &str) -> Vec<Arc<V>> {
        self.read().get(namespace).map(|objects| objects.values().cloned().collect()).unwrap_or_default()
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<V>> {
        self.read().values().flat_map(|objects| objects.values().cloned()).collect()
    }

    /// Puts an object in and returns the one that it replaces.
    pub fn insert(&self, namespace: &str, name: &str, object: Arc<V>) -> Option<Arc<V>> {
        self.write().entry(namespace.to_owned()).or_default().insert(name.to_owned(), object)
    }

    /// Takes an object out.
    pub fn remove(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        let mut objects = self.write();
        let within = objects.get_mut(namespace)?;
        let old = within.remove(name);
        if within.is_empty() {
            objects.remove(namespace);
        }
        old
    }

    /// Replaces all by what was listed, and returns what was there before.
    pub(super) fn replace(&self, listed: Objects<V>) -> Objects<V> {
        let old = std::mem::replace(&mut *self.write(), listed);
        self.state.store(LISTED, Ordering::Release);
        old
    }

    /// Notes that the API is not installed.
    pub(super) fn absent(&self) {
        self.write().clear();
        self.state.store(ABSENT, Ordering::Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, Objects<V>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects<V>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_api_is_decided_but_not_listed() {
        let index = Index::<u8>::default();
        assert!(!index.is_decided());
        index.absent();
        assert!(index.is_decided() && !index.is_listed());
        index.replace(Objects::new());
        assert!(index.is_decided() && index.is_listed());
    }

    #[test]
    fn objects_are_found_by_namespace() {
        let index = Index::default();
        assert_eq!(index.insert("a", "x", Arc::new(1)), None);
        assert_eq!(index.insert("b", "x", Arc::new(2)), None);
        assert_eq!(index.insert("a", "x", Arc::new(3)), Some(Arc::new(1)));
        assert_eq!(index.within("a"), [Arc::new(3)]);
        assert_eq!(index.remove("a", "x"), Some(Arc::new(3)));
        assert_eq!(index.within("a"), []);
        assert_eq!(index.all(), [Arc::new(2)]);
    }
}
