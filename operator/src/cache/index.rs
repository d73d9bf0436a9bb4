//! An index of the objects of one kind, by namespace and name, and by namespace and label.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) type Objects<V> = HashMap<String, BTreeMap<String, Arc<V>>>;

/// An index of the objects of one kind, written by one watch and read by reconciles.
#[derive(Debug)]
pub struct Index<V> {
    content: RwLock<Content<V>>,
    /// The value of an object's label, by which objects are found too.
    label: fn(&V) -> Option<&str>,
    state: AtomicU8,
}

#[derive(Debug)]
struct Content<V> {
    objects: Objects<V>,
    /// Objects by namespace, label and name.
    labelled: HashMap<String, HashMap<String, BTreeMap<String, Arc<V>>>>,
}

const UNKNOWN: u8 = 0;
/// The API is not installed, so there is nothing to list.
const ABSENT: u8 = 1;
const LISTED: u8 = 2;

impl<V> Default for Index<V> {
    fn default() -> Self {
        Self::by_label(|_| None)
    }
}

impl<V> Index<V> {
    /// An index in which objects are also found by the value of a label.
    pub fn by_label(label: fn(&V) -> Option<&str>) -> Self {
        Self { content: RwLock::default(), label, state: AtomicU8::new(UNKNOWN) }
    }

    /// Whether its objects were listed at least once.
    pub fn is_listed(&self) -> bool {
        self.state.load(Ordering::Acquire) == LISTED
    }

    /// Whether its objects are known not to exist, or not to be this process's to look at.
    pub fn is_absent(&self) -> bool {
        self.state.load(Ordering::Acquire) == ABSENT
    }

    /// Whether its objects were listed, or are known not to exist because their API doesn't.
    pub fn is_decided(&self) -> bool {
        self.state.load(Ordering::Acquire) != UNKNOWN
    }

    /// The object called `name`.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        self.read().objects.get(namespace)?.get(name).cloned()
    }

    /// All objects of a namespace, by name.
    pub fn within(&self, namespace: &str) -> Vec<Arc<V>> {
        let content = self.read();
        content.objects.get(namespace).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The objects of a namespace whose label has this value, by name.
    pub fn labelled(&self, namespace: &str, label: &str) -> Vec<Arc<V>> {
        let content = self.read();
        let objects = content.labelled.get(namespace).and_then(|labels| labels.get(label));
        objects.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// All objects.
    pub fn all(&self) -> Vec<Arc<V>> {
        self.read().objects.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Puts an object in and returns the one that it replaces.
    pub fn insert(&self, namespace: &str, name: &str, object: Arc<V>) -> Option<Arc<V>> {
        let mut content = self.write();
        let objects = content.objects.entry(namespace.to_owned()).or_default();
        let old = objects.insert(name.to_owned(), object.clone());
        if let Some(label) = old.as_deref().and_then(self.label) {
            content.unlabel(namespace, label, name);
        }
        if let Some(label) = (self.label)(&object) {
            content.label(namespace, label, name, &object);
        }
        old
    }

    /// Takes an object out.
    pub fn remove(&self, namespace: &str, name: &str) -> Option<Arc<V>> {
        let mut content = self.write();
        let within = content.objects.get_mut(namespace)?;
        let old = within.remove(name);
        if within.is_empty() {
            content.objects.remove(namespace);
        }
        if let Some(label) = old.as_deref().and_then(self.label) {
            content.unlabel(namespace, label, name);
        }
        old
    }

    /// Replaces all by what was listed, and returns what was there before.
    pub(crate) fn replace(&self, listed: Objects<V>) -> Objects<V> {
        let mut next = Content::default();
        for (namespace, objects) in &listed {
            for (name, object) in objects {
                if let Some(label) = (self.label)(object) {
                    next.label(namespace, label, name, object);
                }
            }
        }
        next.objects = listed;
        let old = std::mem::replace(&mut *self.write(), next);
        self.state.store(LISTED, Ordering::Release);
        old.objects
    }

    /// Notes that the API is not installed.
    pub(super) fn absent(&self) {
        *self.write() = Content::default();
        self.state.store(ABSENT, Ordering::Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, Content<V>> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content<V>> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Default for Content<V> {
    fn default() -> Self {
        Self { objects: HashMap::new(), labelled: HashMap::new() }
    }
}

impl<V> Content<V> {
    fn label(&mut self, namespace: &str, label: &str, name: &str, object: &Arc<V>) {
        let labels = self.labelled.entry(namespace.to_owned()).or_default();
        labels.entry(label.to_owned()).or_default().insert(name.to_owned(), object.clone());
    }

    fn unlabel(&mut self, namespace: &str, label: &str, name: &str) {
        let Some(labels) = self.labelled.get_mut(namespace) else { return };
        let Some(objects) = labels.get_mut(label) else { return };
        objects.remove(name);
        if objects.is_empty() {
            labels.remove(label);
        }
        if labels.is_empty() {
            self.labelled.remove(namespace);
        }
    }
}

#[cfg(test)]
mod tests;
