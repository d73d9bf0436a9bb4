//! The blocks of one endpoint: a set-associative table of atomics, least recently used first out.
//!
//! A block's hash chooses a bucket of one cache line; in it, an entry is 32 further bits of the hash and
//! the time of its last use. Time is counted in blocks that were new, so an entry whose last use is as
//! many ticks ago as the endpoint keeps blocks has been pushed out there. A lookup reads one cache line.
//!
//! What is approximate: a bucket that gets more than its share of blocks loses its oldest entry early
//! (buckets have two and a half times as much room as there are blocks, so this is rare: one in 400);
//! blocks that were used again count no time, so a little more than the capacity may be held; two writers
//! at once may lose one of two uses, or of two blocks if one of them was there; and two blocks whose hashes
//! agree in about 44 bits are taken for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::memory::Grant;

/// The most blocks that one endpoint is believed to keep: 64 M tokens, in 20 MiB.
pub const MAX_CAPACITY: u32 = 1 << 20;

/// Entries in a bucket: 64 bytes, the cache line of today's servers.
const WAYS: usize = 8;

/// Buckets have this many times as much room as there are blocks.
///
/// With half as much room again, one block in thirty of a full table would be lost; and as the end of a chain is found
/// by bisection, one in twelve would not be found.
const ROOM: f64 = 2.5;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; WAYS]);

/// Bytes of a bucket.
pub(super) const LINE: usize = size_of::<Bucket>();

/// Clones share their blocks.
#[derive(Clone, Debug)]
pub(super) struct Table {
    clock: Arc<Clock>,
    buckets: Arc<[Bucket]>,
    /// Whether it got less memory than it wanted.
    short: bool,
}

#[derive(Debug)]
struct Clock {
    /// New blocks so far.
    now: AtomicU32,
    /// Age at which an entry has been pushed out.
    capacity: AtomicU32,
    /// The memory of the buckets.
    _grant: Grant,
}

/// An entry as it lies in its cell; 0 is an empty one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

impl Entry {
    fn new(tag: u32, used: u32) -> Self {
        Self(u64::from(tag) << 32 | u64::from(used))
    }

    fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Ticks from the last use to `now`; negative when another thread's clock went on meanwhile.
    fn age(self, now: u32) -> i32 {
        now.wrapping_sub(self.0 as u32) as i32
    }
}

/// The part of a hash that an entry keeps; never that of an empty one.
fn tag(hash: u64) -> u32 {
    (hash as u32).max(1)
}

impl Table {
    /// A table for `capacity` blocks, or as many as the bytes allow that `grant` grants of those it is asked
    /// for, which may be none.
    pub fn new(capacity: u32, grant: impl FnOnce(usize) -> Grant) -> Self {
        let wanted = (f64::from(capacity.clamp(1, MAX_CAPACITY)) * ROOM / WAYS as f64).ceil() as usize;
        let grant = grant(wanted * LINE);
        let buckets = grant.bytes() / LINE;
        let capacity = AtomicU32::new(capacity);
        Self {
            clock: Arc::new(Clock { now: AtomicU32::new(0), capacity, _grant: grant }),
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            short: buckets < wanted,
        }
    }

    /// Whether it got less memory than it wanted.
    pub fn is_short(&self) -> bool {
        self.short
    }

    /// Memory of the entries.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// How many of `hashes`, a chain, are held from the first on. `guess` is where to look first.
    ///
    /// A block is never used without those before it, so it is never pushed out after them: what is held
    /// is a beginning of the chain, and its end is found by bisection. A gap, left by a full bucket, is
    /// thereby often passed over, which is right: the endpoint has no such gap.
    #[inline]
    pub fn depth(&self, hashes: &[u64], guess: usize) -> usize {
        let holds = |n: usize| self.holds(hashes[n]);
        if hashes.is_empty() || !holds(0) {
            return 0;
        }
        // The first `low` are held, and that of index `high` is not.
        let (mut low, mut high) = (1, hashes.len());
        for probe in [guess.wrapping_sub(1), guess] {
            if (low..high).contains(&probe) {
                if holds(probe) { low = probe + 1 } else { high = probe }
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Notes the use of `hashes`, a chain, by an endpoint that keeps `capacity` blocks.
    pub fn insert(&self, capacity: u32, hashes: &[u64]) {
        self.clock.capacity.store(capacity, Ordering::Relaxed);
        // Backwards, so that the first block is the last to be pushed out.
        for &hash in hashes.iter().rev() {
            self.touch(hash);
        }
    }

    fn capacity(&self) -> i32 {
        self.clock.capacity.load(Ordering::Relaxed).min(MAX_CAPACITY) as i32
    }

    /// The bucket that may have `hash`: none in a table without memory.
    fn bucket(&self, hash: u64) -> Option<&Bucket> {
        let n = (u128::from(hash) * self.buckets.len() as u128) >> 64;
        self.buckets.get(n as usize)
    }

    /// Looks at the clock only where the hash is found: it lies in another cache line.
    #[inline]
    fn holds(&self, hash: u64) -> bool {
        // Of a bucket, and not of a slice, the compiler knows the length: it writes the loop out.
        let Some(Bucket(cells)) = self.bucket(hash) else { return false };
        let tag = tag(hash);
        let fresh = |entry: Entry| entry.age(self.clock.now.load(Ordering::Relaxed)) < self.capacity();
        let mut entries = cells.iter().map(|cell| Entry(cell.load(Ordering::Relaxed)));
        entries.any(|entry| entry.tag() == tag && fresh(entry))
    }

    fn touch(&self, hash: u64) {
        let (tag, cells) = (tag(hash), self.bucket(hash).map_or(&[][..], |bucket| &bucket.0));
        let mut ticked = None;
        loop {
            let now = ticked.unwrap_or_else(|| self.clock.now.load(Ordering::Relaxed));
            let mut oldest = None;
            for cell in cells {
                let entry = Entry(cell.load(Ordering::Relaxed));
                if entry.tag() == tag {
                    return self.refresh(cell, entry, now, ticked.is_some());
                }
                let age = if entry.0 == 0 { i32::MAX } else { entry.age(now) };
                if oldest.is_none_or(|(_, _, oldest_age)| age > oldest_age) {
                    oldest = Some((cell, entry, age));
                }
            }
            let Some((cell, old, _)) = oldest else { return };
            let new = Entry::new(tag, *ticked.get_or_insert_with(|| self.tick()));
            if cell.compare_exchange(old.0, new.0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return;
            }
            // Another thread was faster: look again, what it wrote may be this very block.
        }
    }

    /// The time after one more new block.
    fn tick(&self) -> u32 {
        self.clock.now.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Sets the last use of a block that is there. One that had been pushed out counts as new.
    fn refresh(&self, cell: &AtomicU64, entry: Entry, now: u32, ticked: bool) {
        let pushed_out = entry.age(now) >= self.capacity();
        let used = if pushed_out && !ticked { self.tick() } else { now };
        if entry.age(used) > 0 {
            // Not compared, because a comparison holds up the blocks after it until this one has come from memory.
            cell.store(Entry::new(entry.tag(), used).0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
