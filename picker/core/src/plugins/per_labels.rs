//! What follows from the labels of each pod, worked out again only when labels change.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::endpoint::Labels;
use crate::view::View;

/// A value for each endpoint of a view that follows from its labels alone.
///
/// Labels change seldom, and reading them is slow next to the rest of a decision. So the values of all endpoints are kept
/// until their labels change.
#[derive(Debug)]
pub(super) struct PerLabels<T>(ArcSwap<Kept<T>>);

impl<T> Default for PerLabels<T> {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(Kept { labels_hash: 0, by_position: Box::default() }))
    }
}

/// The values, by position in the view.
#[derive(Debug)]
pub(super) struct Kept<T> {
    labels_hash: u64,
    by_position: Box<[T]>,
}

impl<T> Kept<T> {
    fn is_of(&self, view: &View) -> bool {
        self.labels_hash == view.labels_hash && self.by_position.len() == view.len()
    }
}

impl<T> Deref for Kept<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.by_position
    }
}

impl<T> PerLabels<T> {
    /// The values for `view`, which `make` works out. It must be the same rule at every call.
    pub fn of(&self, view: &View, make: impl Fn(&Labels) -> T) -> Guard<Arc<Kept<T>>> {
        let kept = self.0.load();
        if kept.is_of(view) {
            return kept;
        }
        let by_position = view.endpoints.iter().map(|e| make(&e.labels)).collect();
        let new = Arc::new(Kept { labels_hash: view.labels_hash, by_position });
        self.0.store(new.clone());
        Guard::from_inner(new)
    }
}
