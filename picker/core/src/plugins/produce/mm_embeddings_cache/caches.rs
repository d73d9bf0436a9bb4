//! What each server is believed to have in its encoder cache.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::recent::Recent;
use crate::endpoint::MAX_SLOTS;
use crate::store::State;
use crate::view::{Candidates, View};

/// The most items of all servers together, and one more of each server.
const MOST_ITEMS: usize = 1 << 20;

/// Bytes that an item takes in both tables of [`Recent`], about.
const ITEM: usize = 80;

/// Bytes of a server without items.
const SERVER: usize = size_of::<Arc<Mutex<Cache>>>() + size_of::<Mutex<Cache>>();

/// The items of all servers, by slot. The list is replaced by a longer one when an endpoint has a slot beyond its end, which
/// is rare; of one server, requests wait for each other while they look a few items up.
#[derive(Debug, Default)]
pub(super) struct EncoderCaches {
    by_slot: ArcSwap<Box<[Arc<Mutex<Cache>>]>>,
    /// How many items there are of all servers.
    items: AtomicUsize,
}

/// The items of the endpoint with this key.
#[derive(Debug, Default)]
struct Cache {
    key: u64,
    items: Recent,
}

fn locked(cache: &Mutex<Cache>) -> MutexGuard<'_, Cache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EncoderCaches {
    /// Writes into `matched`, for each of `candidates` at its position in `view`, how many of `items` it has.
    pub fn matches(&self, items: &[u64], view: &View, candidates: &Candidates, matched: &mut Vec<u32>) {
        matched.clear();
        matched.resize(view.len(), 0);
        let by_slot = self.by_slot.load();
        for i in candidates.iter() {
            let (slot, key) = view.places[i];
            let Some(cache) = by_slot.get(slot as usize) else { continue };
            let cache = locked(cache);
            if cache.key == key {
                matched[i] = items.iter().filter(|item| cache.items.has(**item)).count() as u32;
            }
        }
    }

    /// The endpoint at position `chosen` of `view`, which keeps `capacity` items, gets `items`.
    pub fn insert(&self, view: &View, chosen: usize, capacity: usize, items: &[u64]) {
        let (slot, key) = view.places[chosen];
        let slot = slot as usize;
        if slot >= MAX_SLOTS {
            return;
        }
        if self.by_slot.load().len() <= slot {
            self.by_slot.rcu(|old| {
                let cache = |n| old.get(n).cloned().unwrap_or_default();
                (0..old.len().max(view.slots.min(MAX_SLOTS))).map(cache).collect::<Box<[_]>>()
            });
        }
        let by_slot = self.by_slot.load();
        let Some(cache) = by_slot.get(slot) else { return };
        let mut cache = locked(cache);
        // Keys rise: a request that was decided before the slot changed hands must not take it back.
        if cache.key > key {
            return;
        }
        let before = cache.items.len();
        if cache.key < key {
            *cache = Cache { key, items: Recent::default() };
        }
        let others = self.items.load(Ordering::Relaxed).saturating_sub(before);
        // What is of others goes when their share is smaller, by and by.
        let capacity = fair(capacity, view).min(MOST_ITEMS.saturating_sub(others)).max(1);
        items.iter().for_each(|item| cache.items.add(*item, capacity));
        self.count(before, cache.items.len());
    }

    fn count(&self, before: usize, after: usize) {
        self.items.fetch_add(after, Ordering::Relaxed);
        self.items.fetch_sub(before, Ordering::Relaxed);
    }

    /// Lets go what is known of endpoints that are not in `view`, and what those that are have above their share.
    pub fn tidy(&self, view: &View, capacity: usize) {
        let mut keys = vec![0; self.by_slot.load().len().max(view.slots)];
        for &(slot, key) in &view.places {
            keys[slot as usize] = key;
        }
        let capacity = fair(capacity, view);
        for (cache, key) in self.by_slot.load().iter().zip(keys) {
            let mut cache = locked(cache);
            let before = cache.items.len();
            // A newer one is of a newer view.
            if cache.key != key && (key == 0 || cache.key < key) {
                cache.items = Recent::default();
            }
            cache.items.shrink(capacity);
            self.count(before, cache.items.len());
        }
    }

    /// How many items there are of all servers.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        let counted = self.by_slot.load().iter().map(|cache| locked(cache).items.len()).sum();
        assert_eq!(self.items.load(Ordering::Relaxed), counted);
        counted
    }
}

/// The items that each endpoint of `view` may have, of which it keeps `capacity`.
fn fair(capacity: usize, view: &View) -> usize {
    capacity.min(MOST_ITEMS / view.len().max(1)).max(1)
}

impl State for EncoderCaches {
    fn bytes(&self) -> usize {
        self.items.load(Ordering::Relaxed) * ITEM + self.by_slot.load().len() * SERVER
    }

    fn max_bytes(&self) -> usize {
        (MOST_ITEMS + MAX_SLOTS) * ITEM + MAX_SLOTS * SERVER
    }
}
