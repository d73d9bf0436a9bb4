//! How soon each endpoint answered, as means in which older answers count less.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};

use crate::endpoint::MAX_SLOTS;
use crate::store::State;

/// An endpoint of which no answer came for so many half-lives counts as unknown.
const FORGOTTEN: f64 = 10.0;

/// How soon an endpoint answers, in seconds; NaN where it is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Latency {
    /// Time to the first byte.
    pub ttft: f64,
    /// Time for each further token.
    pub tpot: f64,
}

const UNKNOWN: Latency = Latency { ttft: f64::NAN, tpot: f64::NAN };

/// The means of all endpoints, by slot: as many as there were endpoints at once. Decisions read them without a lock; ends of
/// answers of one endpoint wait for each other while a few numbers are worked out.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    by_slot: ArcSwap<Box<[Arc<Entry>]>>,
    /// Time 0: that of the first answer.
    start: OnceLock<Instant>,
}

/// One slot.
#[derive(Debug, Default)]
struct Entry {
    sums: Mutex<Sums>,
    /// What decisions read: key of the endpoint (0 for none), the means and the time of the last answer as the bits of a
    /// double. They are written one after the other; who reads in between is wrong in one decision.
    key: AtomicU64,
    ttft: AtomicU64,
    tpot: AtomicU64,
    last: AtomicU64,
}

/// Both means, of the endpoint with this key.
#[derive(Debug, Default)]
struct Sums {
    key: u64,
    ttft: Mean,
    tpot: Mean,
}

/// A mean of values whose weights halve with every half-life.
#[derive(Debug, Default)]
struct Mean {
    /// Sum of the weights, and of weight times value, at the time `at`.
    weight: f64,
    sum: f64,
    at: f64,
}

impl Mean {
    /// Takes in a value of the time `at`, in seconds. One that comes late is taken for one of the time of the last.
    fn add(&mut self, value: f64, at: f64, half_life: f64) {
        let age = (at - self.at).max(0.0);
        let kept = (-age / half_life).exp2();
        self.weight = self.weight * kept + 1.0;
        self.sum = self.sum * kept + value;
        self.at = self.at.max(at);
    }

    /// NaN without a value.
    fn value(&self) -> f64 {
        self.sum / self.weight
    }
}

impl Entry {
    fn of(&self, key: u64, oldest: f64) -> Latency {
        let number = |bits: &AtomicU64| f64::from_bits(bits.load(Ordering::Relaxed));
        if self.key.load(Ordering::Acquire) != key || number(&self.last) < oldest {
            return UNKNOWN;
        }
        Latency { ttft: number(&self.ttft), tpot: number(&self.tpot) }
    }

    fn note(&self, key: u64, latency: Latency, at: f64, half_life: f64) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        // Keys rise: an answer of an endpoint that is gone says nothing of a newer one in its slot.
        if sums.key > key {
            return;
        }
        if sums.key < key || at - sums.ttft.at > FORGOTTEN * half_life {
            *sums = Sums { key, ..Sums::default() };
        }
        sums.ttft.add(latency.ttft, at, half_life);
        if !latency.tpot.is_nan() {
            sums.tpot.add(latency.tpot, at, half_life);
        }
        let store = |bits: &AtomicU64, value: f64| bits.store(value.to_bits(), Ordering::Relaxed);
        store(&self.ttft, sums.ttft.value());
        store(&self.tpot, sums.tpot.value());
        store(&self.last, sums.ttft.at);
        self.key.store(key, Ordering::Release);
    }
}

/// What is known at one moment.
pub(super) struct Known {
    by_slot: Guard<Arc<Box<[Arc<Entry>]>>>,
    /// Time of the oldest answer that still counts.
    oldest: f64,
}

impl Known {
    /// How soon the endpoint with this slot and key answers.
    pub fn of(&self, (slot, key): (u32, u64)) -> Latency {
        self.by_slot.get(slot as usize).map_or(UNKNOWN, |entry| entry.of(key, self.oldest))
    }
}

impl Latencies {
    fn seconds(&self, now: Instant) -> f64 {
        self.start.get().map_or(0.0, |start| now.saturating_duration_since(*start).as_secs_f64())
    }

    pub fn read(&self, now: Instant, half_life: f64) -> Known {
        Known { by_slot: self.by_slot.load(), oldest: self.seconds(now) - FORGOTTEN * half_life }
    }

    /// The endpoint with this slot and key has answered at `now`.
    pub fn note(&self, (slot, key): (u32, u64), latency: Latency, now: Instant, half_life: f64) {
        self.start.get_or_init(|| now);
        let slot = slot as usize;
        if slot >= MAX_SLOTS {
            return;
        }
        if self.by_slot.load().len() <= slot {
            self.by_slot.rcu(|old| {
                let entry = |n| old.get(n).cloned().unwrap_or_default();
                (0..old.len().max(slot + 1)).map(entry).collect::<Box<[Arc<Entry>]>>()
            });
        }
        if let Some(entry) = self.by_slot.load().get(slot) {
            entry.note(key, latency, self.seconds(now), half_life);
        }
    }
}

/// Bytes of a slot: the entry, its counts of owners, and the pointer to it.
const ROW: usize = size_of::<Entry>() + 3 * size_of::<usize>();

impl State for Latencies {
    fn bytes(&self) -> usize {
        self.by_slot.load().len() * ROW
    }

    fn max_bytes(&self) -> usize {
        MAX_SLOTS * ROW
    }
}
