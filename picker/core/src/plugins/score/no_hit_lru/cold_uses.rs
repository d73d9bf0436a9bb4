//! When each endpoint last got a cold request, as numbers that rise from request to request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::endpoint::MAX_SLOTS;
use crate::store::State;
use crate::view::View;

/// The last cold request of each endpoint, by its slot. Reading and noting take no lock; the array is replaced whole by
/// a longer one when an endpoint has a slot beyond its end, which is rare, and a request that is noted meanwhile may
/// be missed.
#[derive(Debug, Default)]
pub(super) struct ColdUses {
    by_slot: ArcSwap<Box<[Entry]>>,
    /// The number of the last cold request.
    last: AtomicU64,
}

/// One slot. Keys of endpoints rise, so that an older endpoint never takes it back from a newer one.
#[derive(Debug, Default)]
struct Entry {
    /// Key of the endpoint; 0 for none.
    key: AtomicU64,
    last: AtomicU64,
}

impl Entry {
    fn copy(&self) -> Self {
        let copy = |value: &AtomicU64| AtomicU64::new(value.load(Ordering::Relaxed));
        Self { key: copy(&self.key), last: copy(&self.last) }
    }

    /// The last request of the endpoint with `key`, 0 without one.
    fn last(&self, key: u64) -> u64 {
        // One that is read while the slot changes hands may be another's, which matters to one decision.
        if self.key.load(Ordering::Relaxed) == key { self.last.load(Ordering::Relaxed) } else { 0 }
    }

    fn note(&self, key: u64, number: u64) {
        if self.key.fetch_max(key, Ordering::Relaxed) <= key {
            self.last.fetch_max(number, Ordering::Relaxed);
        }
    }
}

/// What is known at one moment.
pub(super) struct Uses(Guard<Arc<Box<[Entry]>>>);

impl Uses {
    /// Number of the last cold request of the endpoint with this slot and key; 0 if it had none.
    pub fn last(&self, (slot, key): (u32, u64)) -> u64 {
        self.0.get(slot as usize).map_or(0, |entry| entry.last(key))
    }
}

impl ColdUses {
    pub fn read(&self) -> Uses {
        Uses(self.by_slot.load())
    }

    /// The endpoint at position `chosen` of `view` gets a cold request.
    pub fn note(&self, view: &View, chosen: usize) {
        let (slot, key) = view.places[chosen];
        if slot as usize >= MAX_SLOTS {
            return;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        if self.by_slot.load().len() <= slot as usize {
            self.by_slot.rcu(|old| {
                let length = old.len().max(view.slots.min(MAX_SLOTS));
                let entry = |n| old.get(n).map_or_else(Entry::default, Entry::copy);
                (0..length).map(entry).collect::<Box<[Entry]>>()
            });
        }
        if let Some(entry) = self.by_slot.load().get(slot as usize) {
            entry.note(key, number);
        }
    }
}

impl State for ColdUses {
    fn bytes(&self) -> usize {
        size_of_val(&**self.by_slot.load_full())
    }

    fn max_bytes(&self) -> usize {
        MAX_SLOTS * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Slots;
    use crate::testing::{spec, unknown, view_of};

    #[test]
    fn each_endpoint_has_the_number_of_its_last_request() {
        let (uses, view) = (ColdUses::default(), unknown(3));
        let last =
            |uses: &ColdUses| view.places.iter().map(|&place| uses.read().last(place)).collect::<Vec<_>>();
        assert_eq!(last(&uses), [0, 0, 0]);
        [2, 0, 2, 1].into_iter().for_each(|chosen| uses.note(&view, chosen));
        assert_eq!(last(&uses), [2, 4, 3]);
    }

    #[test]
    fn a_longer_view_keeps_what_is_known() {
        let (mut slots, uses) = (Slots::default(), ColdUses::default());
        let endpoints: Vec<_> = (0..5).map(|n| Arc::new(slots.admit(spec(n)))).collect();
        let [short, long] = [2, 5].map(|count| view_of(endpoints[..count].iter().cloned()));
        uses.note(&short, 1);
        uses.note(&long, 4);
        uses.note(&short, 0);
        let last: Vec<_> = long.places.iter().map(|&place| uses.read().last(place)).collect();
        assert_eq!(last, [3, 1, 0, 0, 2]);
    }

    #[test]
    fn another_endpoint_in_a_slot_starts_anew_and_an_older_one_does_not_take_it_back() {
        let (mut slots, uses) = (Slots::default(), ColdUses::default());
        let old = Arc::new(slots.admit(spec(1)));
        slots.release(&old);
        let new = Arc::new(slots.admit(spec(2)));
        assert_eq!(old.slot, new.slot);
        let (before, after) = (view_of([old]), view_of([new]));
        uses.note(&before, 0);
        assert_eq!((uses.read().last(before.places[0]), uses.read().last(after.places[0])), (1, 0));
        uses.note(&after, 0);
        uses.note(&before, 0);
        assert_eq!((uses.read().last(before.places[0]), uses.read().last(after.places[0])), (0, 2));
    }
}
