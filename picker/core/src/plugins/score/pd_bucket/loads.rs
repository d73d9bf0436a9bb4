//! Tokens that were sent to each endpoint lately: sums that decay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};

use crate::endpoint::MAX_SLOTS;
use crate::store::State;
use crate::view::View;

/// After how many milliseconds sums decay.
const TICK_MS: u128 = 100;

/// Sums of tokens of short and of long prompts of each endpoint, by its slot. Reading and adding take no lock; the array is
/// replaced whole by a longer one when an endpoint has a slot beyond its end, which is rare, and what is added meanwhile
/// may be missed.
#[derive(Debug)]
pub(super) struct Loads {
    decay: f64,
    /// The time of the first request, from which ticks count.
    began: OnceLock<Instant>,
    by_slot: ArcSwap<Box<[Entry]>>,
}

/// One slot. Keys of endpoints rise, so that an older endpoint never takes it back from a newer one.
#[derive(Debug, Default)]
struct Entry {
    /// Key of the endpoint; 0 for none.
    key: AtomicU64,
    sums: [Sum; 2],
}

/// A sum, as the tick at which it was written last and the bits of an `f32`.
#[derive(Debug, Default)]
struct Sum(AtomicU64);

impl Sum {
    fn copy(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }

    fn at(written: u64, tick: u32, decay: f64) -> f64 {
        let (then, sum) = ((written >> 32) as u32, f64::from(f32::from_bits(written as u32)));
        let ticks = tick.saturating_sub(then).min(i32::MAX as u32);
        if ticks == 0 || sum == 0.0 { sum } else { sum * decay.powi(ticks as i32) }
    }

    fn read(&self, tick: u32, decay: f64) -> f64 {
        Self::at(self.0.load(Ordering::Relaxed), tick, decay)
    }

    fn add(&self, tick: u32, decay: f64, tokens: u64) {
        let added = |written: u64| {
            let sum = (Self::at(written, tick, decay) + tokens as f64) as f32;
            let tick = tick.max((written >> 32) as u32);
            Some(u64::from(tick) << 32 | u64::from(sum.to_bits()))
        };
        // It always has a new value.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }
}

impl Entry {
    fn copy(&self) -> Self {
        let [short, long] = &self.sums;
        Self { key: AtomicU64::new(self.key.load(Ordering::Relaxed)), sums: [short.copy(), long.copy()] }
    }
}

/// The sums at one moment.
pub(super) struct Sums {
    by_slot: Guard<Arc<Box<[Entry]>>>,
    tick: u32,
    decay: f64,
}

impl Sums {
    /// Those of short and of long prompts, of the endpoint with this slot and key; 0 if it was sent none.
    pub fn of(&self, (slot, key): (u32, u64)) -> [f64; 2] {
        // Sums that are read while the slot changes hands may be another's, which matters to one decision.
        match self.by_slot.get(slot as usize) {
            Some(Entry { key: own, sums }) if own.load(Ordering::Relaxed) == key => {
                [sums[0].read(self.tick, self.decay), sums[1].read(self.tick, self.decay)]
            }
            _ => [0.0; 2],
        }
    }
}

impl Loads {
    /// Sums of which `decay` is left after each tick.
    pub fn new(decay: f64) -> Self {
        Self { decay, began: OnceLock::new(), by_slot: ArcSwap::default() }
    }

    fn tick(&self, now: Instant) -> u32 {
        let began = *self.began.get_or_init(|| now);
        u32::try_from(now.saturating_duration_since(began).as_millis() / TICK_MS).unwrap_or(u32::MAX)
    }

    /// The sums at `now`.
    pub fn at(&self, now: Instant) -> Sums {
        Sums { by_slot: self.by_slot.load(), tick: self.tick(now), decay: self.decay }
    }

    /// A prompt of `tokens` is sent to the endpoint at position `chosen` of `view`.
    pub fn add(&self, view: &View, chosen: usize, now: Instant, tokens: u64, is_long: bool) {
        let ((slot, key), tick) = (view.places[chosen], self.tick(now));
        if slot as usize >= MAX_SLOTS {
            return;
        }
        if self.by_slot.load().len() <= slot as usize {
            self.by_slot.rcu(|old| {
                let length = old.len().max(view.slots.min(MAX_SLOTS));
                let entry = |n| old.get(n).map_or_else(Entry::default, Entry::copy);
                (0..length).map(entry).collect::<Box<[Entry]>>()
            });
        }
        let by_slot = self.by_slot.load();
        let Some(entry) = by_slot.get(slot as usize) else { return };
        let before = entry.key.fetch_max(key, Ordering::Relaxed);
        if before < key {
            entry.sums.iter().for_each(|sum| sum.0.store(0, Ordering::Relaxed));
        }
        if before <= key {
            entry.sums[usize::from(is_long)].add(tick, self.decay, tokens);
        }
    }
}

impl State for Loads {
    fn bytes(&self) -> usize {
        size_of_val(&**self.by_slot.load_full())
    }

    fn max_bytes(&self) -> usize {
        MAX_SLOTS * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::endpoint::Slots;
    use crate::testing::{spec, unknown, view_of};

    #[test]
    fn sums_decay_at_each_tick() {
        let (loads, view, start) = (Loads::new(0.5), unknown(2), Instant::now());
        let of = |ms: u64| {
            let sums = loads.at(start + Duration::from_millis(ms));
            [sums.of(view.places[0]), sums.of(view.places[1])]
        };
        assert_eq!(of(0), [[0.0; 2]; 2]);
        loads.add(&view, 1, start, 800, false);
        loads.add(&view, 1, start + Duration::from_millis(150), 100, true);
        assert_eq!(of(99), [[0.0; 2], [800.0, 100.0]]);
        assert_eq!(of(150), [[0.0; 2], [400.0, 100.0]]);
        assert_eq!(of(399), [[0.0; 2], [100.0, 25.0]]);
        loads.add(&view, 1, start + Duration::from_millis(399), 4, false);
        assert_eq!(of(399), [[0.0; 2], [104.0, 25.0]]);
        assert_eq!(of(1 << 40), [[0.0; 2]; 2]);
    }

    #[test]
    fn another_endpoint_in_a_slot_starts_anew_and_an_older_one_does_not_take_it_back() {
        let (loads, mut slots, now) = (Loads::new(1.0), Slots::default(), Instant::now());
        let old = Arc::new(slots.admit(spec(1)));
        slots.release(&old);
        let new = Arc::new(slots.admit(spec(2)));
        assert_eq!(old.slot, new.slot);
        let (before, after) = (view_of([old]), view_of([new]));
        loads.add(&before, 0, now, 5, false);
        let of = |view: &View| loads.at(now).of(view.places[0]);
        assert_eq!([of(&before), of(&after)], [[5.0, 0.0], [0.0; 2]]);
        loads.add(&after, 0, now, 7, true);
        loads.add(&before, 0, now, 5, false);
        assert_eq!([of(&before), of(&after)], [[0.0; 2], [0.0, 7.0]]);
    }

    #[test]
    fn a_longer_view_keeps_what_is_known() {
        let (loads, mut slots, now) = (Loads::new(1.0), Slots::default(), Instant::now());
        let endpoints: Vec<_> = (0..3).map(|n| Arc::new(slots.admit(spec(n)))).collect();
        let [short, long] = [1, 3].map(|count| view_of(endpoints[..count].iter().cloned()));
        loads.add(&short, 0, now, 5, false);
        loads.add(&long, 2, now, 7, true);
        let sums = loads.at(now);
        let all: Vec<_> = long.places.iter().map(|&place| sums.of(place)).collect();
        assert_eq!(all, [[5.0, 0.0], [0.0; 2], [0.0, 7.0]]);
    }
}
