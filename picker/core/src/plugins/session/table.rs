//! The table of sessions: which endpoint each one is bound to.
//!
//! A set-associative hash table of a fixed size, without locks: requests neither wait for each other nor allocate, but for
//! a segment of the table when the first session falls into it. However many sessions clients make up, it keeps
//! as many as it was made for; of the few that share a set the one that was used longest ago gives way.
//!
//! A session is known by a 64-bit hash with a random key (SipHash), so that nobody can aim at the set of another one.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::store::State;

#[cfg(test)]
mod tests;

/// The most sessions that a table can keep, in 16 MiB.
pub(in crate::plugins) const CAPACITY: usize = 1 << 20;

/// Sessions of a set.
const WAYS: usize = 8;
const SETS_PER_SEGMENT: usize = 32;
/// The fewest sessions that a table can keep: its size is a multiple of it.
pub(in crate::plugins) const LEAST: usize = SETS_PER_SEGMENT * WAYS;

/// How many sweeps go through the whole table.
pub(in crate::plugins) const SWEEPS: u32 = 16;

/// Bits of a binding that say when it was last used, in [`TICK`]s; those above are the key of the endpoint.
const TIME_BITS: u32 = 28;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const TICK: Duration = Duration::from_millis(100);

/// The longest time that a binding can be kept unused: far less than what wraps the clock of the table (310 days).
pub(in crate::plugins) const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// No session.
const EMPTY: u64 = 0;
/// An entry that is being given to another session.
const BUSY: u64 = 1;

/// The key of an endpoint as far as bindings have it.
pub(in crate::plugins) fn short(key: u64) -> u64 {
    key & (u64::MAX >> TIME_BITS)
}

/// One session and what it is bound to.
///
/// Who gives it to another session claims it first by [`BUSY`]. A reader looks at `session` and at `binding` twice each,
/// so that it does not take the binding of one for that of another, not even when the entry went to another session and
/// came back in between.
#[derive(Debug, Default)]
struct Entry {
    session: AtomicU64,
    /// Key of the endpoint, and time of the last use.
    binding: AtomicU64,
}

type Set = [Entry; WAYS];
type Segment = Box<[Set]>;

/// Bytes of a segment.
const SEGMENT: usize = SETS_PER_SEGMENT * size_of::<Set>();

/// Bindings of sessions to endpoints. Bindings that were not used for the time to live (`ttl`, up to [`MAX_TTL`]) are no
/// more.
#[derive(Debug)]
pub(in crate::plugins) struct Sessions {
    hasher: RandomState,
    /// Time 0 of the table: that of its first binding.
    start: OnceLock<Instant>,
    segments: Box<[OnceLock<Segment>]>,
    swept: AtomicUsize,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::of(CAPACITY)
    }
}

impl Sessions {
    /// A table for at most `capacity` sessions, rounded down to a multiple of [`LEAST`], of which there is one at least.
    pub fn of(capacity: usize) -> Self {
        let segments = (capacity.min(CAPACITY) / LEAST).max(1);
        Self {
            hasher: RandomState::new(),
            start: OnceLock::new(),
            segments: (0..segments).map(|_| OnceLock::new()).collect(),
            swept: AtomicUsize::new(0),
        }
    }

    fn segment(&self, session: u64) -> &OnceLock<Segment> {
        &self.segments[(session >> 32) as usize % self.segments.len()]
    }

    /// What stands for the session `id` in this table; never 0.
    pub fn hash(&self, id: &[u8]) -> u64 {
        let hash = self.hasher.hash_one(id);
        if hash > BUSY { hash } else { BUSY + 1 + hash }
    }

    /// The ([`short`]) key of the endpoint to which `session` is bound at `now`.
    pub fn get(&self, session: u64, now: Instant, ttl: Duration) -> Option<u64> {
        let clock = self.clock(now, ttl)?;
        let set = self.segment(session).get().map(|segment| &segment[set_of(session)])?;
        set.iter().find_map(|entry| {
            if entry.session.load(Ordering::Acquire) != session {
                return None;
            }
            let binding = entry.binding.load(Ordering::Acquire);
            let same = entry.session.load(Ordering::Acquire) == session
                && entry.binding.load(Ordering::Acquire) == binding;
            (same && clock.keeps(binding)).then_some(binding >> TIME_BITS)
        })
    }

    /// Binds `session` to `endpoint` (a [`short`] key), or renews its binding to it. `seen` is what [`Sessions::get`] said
    /// before, 0 for nothing: when another request has bound the session since, that stands, and is renewed.
    pub fn bind(&self, session: u64, seen: u64, endpoint: u64, now: Instant, ttl: Duration) {
        self.start.get_or_init(|| now);
        let Some(clock) = self.clock(now, ttl) else { return };
        let segment = self.segment(session);
        if segment.get().is_none() {
            // Made before it is set, so that nobody waits for the allocation.
            let new = (0..SETS_PER_SEGMENT).map(|_| Set::default()).collect();
            let _ = segment.set(new);
        }
        let Some(set) = segment.get().map(|segment| &segment[set_of(session)]) else { return };
        let own = set.iter().find(|entry| entry.session.load(Ordering::Acquire) == session);
        if let Some(entry) = own {
            let old = entry.binding.load(Ordering::Acquire);
            if entry.session.load(Ordering::Acquire) != session {
                // Another session took it. The next request of this one binds it.
                return;
            }
            let bound = old >> TIME_BITS;
            let to = if clock.keeps(old) && bound != seen { bound } else { endpoint };
            let new = clock.binding(to);
            if new != old {
                // If it has changed since, another request was first.
                let _ = entry.binding.compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed);
            }
            return;
        }
        // An empty entry, or the one that was used longest ago.
        let oldest = set
            .iter()
            .map(|entry| (entry, entry.session.load(Ordering::Acquire)))
            .filter(|(_, session)| *session != BUSY)
            .max_by_key(|(entry, session)| match *session {
                EMPTY => u64::MAX,
                _ => clock.rank(entry.binding.load(Ordering::Acquire)),
            });
        // Where another request takes it at this very moment, the next request of the session binds it.
        if let Some((entry, old)) = oldest
            && entry.session.compare_exchange(old, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            entry.binding.store(clock.binding(endpoint), Ordering::Release);
            entry.session.store(session, Ordering::Release);
        }
    }

    /// Empties the entries of expired bindings in the next part of the table; [`SWEEPS`] parts are all of it.
    pub fn sweep(&self, now: Instant, ttl: Duration) {
        let part = self.swept.fetch_add(1, Ordering::Relaxed) % SWEEPS as usize;
        let Some(clock) = self.clock(now, ttl) else { return };
        let end = |part: usize| self.segments.len() * part / SWEEPS as usize;
        let segments = &self.segments[end(part)..end(part + 1)];
        for entry in segments.iter().filter_map(OnceLock::get).flatten().flatten() {
            let session = entry.session.load(Ordering::Acquire);
            let expired = || !clock.keeps(entry.binding.load(Ordering::Acquire));
            if session <= BUSY || !expired() {
                continue;
            }
            if entry.session.compare_exchange(session, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                // A request may have renewed it meanwhile.
                let session = if expired() { EMPTY } else { session };
                entry.session.store(session, Ordering::Release);
            }
        }
    }

    /// `None` before the first binding.
    fn clock(&self, now: Instant, ttl: Duration) -> Option<Clock> {
        let since = now.saturating_duration_since(*self.start.get()?);
        Some(Clock { now: ticks(since) & TIME_MASK, ttl: ticks(ttl) })
    }

    /// How many sessions there are, expired ones too.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let entries = self.segments.iter().filter_map(OnceLock::get).flatten().flatten();
        entries.filter(|entry| entry.session.load(Ordering::Acquire) > BUSY).count()
    }
}

impl State for Sessions {
    fn bytes(&self) -> usize {
        let made = self.segments.iter().filter(|segment| segment.get().is_some()).count();
        size_of_val(&*self.segments) + made * SEGMENT
    }

    fn max_bytes(&self) -> usize {
        size_of_val(&*self.segments) + self.segments.len() * SEGMENT
    }
}

fn set_of(session: u64) -> usize {
    (session >> 48) as usize % SETS_PER_SEGMENT
}

fn ticks(time: Duration) -> u64 {
    (time.as_millis() / TICK.as_millis()) as u64
}

/// The time of one request in the table's units.
struct Clock {
    now: u64,
    ttl: u64,
}

impl Clock {
    fn binding(&self, endpoint: u64) -> u64 {
        endpoint << TIME_BITS | self.now
    }

    /// Ticks since `binding` was used. One that seems to be used later than now was used by a request that came a
    /// little later, and is first all the same.
    fn age(&self, binding: u64) -> u64 {
        let age = self.now.wrapping_sub(binding) & TIME_MASK;
        if age > TIME_MASK / 2 { 0 } else { age }
    }

    /// Higher for what was used earlier, also among those that were used later than now.
    fn rank(&self, binding: u64) -> u64 {
        self.now.wrapping_add(TIME_MASK / 2).wrapping_sub(binding) & TIME_MASK
    }

    fn keeps(&self, binding: u64) -> bool {
        self.age(binding) <= self.ttl
    }
}
