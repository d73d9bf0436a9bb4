//! When each endpoint was seen for the first time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};

use crate::endpoint::MAX_SLOTS;
use crate::store::State;
use crate::view::{Candidates, View};

/// When each endpoint of the newest view was first seen. Reading takes no lock; the whole is replaced when endpoints come or
/// go, which is rare.
#[derive(Debug, Default)]
pub(super) struct FirstSeen(ArcSwap<Seen>);

/// What is known at one moment. It has as many entries as the view has slots.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When the view was built that was looked at last; `None` before the first one.
    of: Option<Instant>,
    /// By slot: key of the endpoint, and when it was first seen.
    by_slot: Box<[Option<(u64, Since)>]>,
    count: usize,
}

/// When an endpoint was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// It was there when looking began.
    Always,
    At(Instant),
}

impl Seen {
    fn get(&self, (slot, key): (u32, u64)) -> Option<Since> {
        let entry = self.by_slot.get(slot as usize)?;
        entry.filter(|(other, _)| *other == key).map(|(_, since)| since)
    }

    /// For how long the endpoint with this slot and key has been known at `now`.
    pub fn age(&self, place: (u32, u64), now: Instant) -> Duration {
        match self.get(place) {
            Some(Since::Always) => Duration::MAX,
            Some(Since::At(at)) => now.saturating_duration_since(at),
            // It has no place in the table.
            None if place.0 as usize >= MAX_SLOTS => Duration::MAX,
            // One of a view that is behind: it is gone.
            None => Duration::ZERO,
        }
    }

    /// Whether `view` is not older than what is known.
    fn is_before(&self, view: &View) -> bool {
        view.built_at >= self.of
    }

    /// Whether it knows exactly the endpoints of `view`.
    fn is_of(&self, view: &View) -> bool {
        let knows = |place: &(u32, u64)| place.0 as usize >= MAX_SLOTS || self.get(*place).is_some();
        self.count == view.len() && view.places.iter().all(knows)
    }

    /// What is known after a look at `view` at `now`: of endpoints that are gone nothing.
    fn after(&self, view: &View, now: Instant) -> Self {
        // Endpoints may be there already when the first of them are told.
        let new = if self.of.is_none() { Since::Always } else { Since::At(now) };
        let mut by_slot = vec![None; view.slots.min(MAX_SLOTS)];
        for &(slot, key) in &view.places {
            if let Some(entry) = by_slot.get_mut(slot as usize) {
                *entry = Some((key, self.get((slot, key)).unwrap_or(new)));
            }
        }
        Self { of: view.built_at, by_slot: by_slot.into(), count: view.len() }
    }
}

impl FirstSeen {
    /// Looks at the endpoints of `view` at `now`. A view that is behind, or has none while none was ever seen, says nothing.
    pub fn look(&self, view: &View, now: Instant) {
        let says_something = |seen: &Seen| {
            let first = seen.of.is_none() && view.is_empty();
            !first && seen.is_before(view) && !seen.is_of(view)
        };
        if says_something(&self.0.load()) {
            self.0.rcu(|old| if says_something(old) { Arc::new(old.after(view, now)) } else { old.clone() });
        }
    }

    /// What is known.
    pub fn now(&self) -> Guard<Arc<Seen>> {
        self.0.load()
    }

    /// What is known, after a look at `view` if one of `candidates` is unknown.
    pub fn knowing(&self, view: &View, candidates: &Candidates, now: Instant) -> Guard<Arc<Seen>> {
        let seen = self.0.load();
        if candidates.iter().all(|i| seen.get(view.places[i]).is_some()) {
            return seen;
        }
        self.look(view, now);
        self.0.load()
    }
}

impl State for FirstSeen {
    fn bytes(&self) -> usize {
        size_of_val(&*self.0.load().by_slot)
    }

    fn max_bytes(&self) -> usize {
        MAX_SLOTS * size_of::<Option<(u64, Since)>>()
    }
}
