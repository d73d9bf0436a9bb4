//! The memory of one process between reconciles. Losing it costs time, never correctness.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::attempts::Attempts;
use super::compiled::CompiledRoutings;
use super::inspections::Inspections;
use super::reach::{Probes, Reach};
use super::record::Record;
use super::upgrade_queue::UpgradeQueue;
use super::written_statuses::WrittenStatuses;
use crate::kinds::Kind;

/// A routing in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptRevision {
    /// The larger, the newer.
    pub number: i64,
    pub revision: String,
}

/// The writes of this process around one strategy that the caches may not have yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Remembered {
    /// The routing that was put into the history last.
    pub kept: Option<KeptRevision>,
    /// The records that were written to pools, by the UID of the pool.
    pub records: HashMap<String, Record>,
    /// Objects that stay different from what is wanted, by UID: resource version and hash of what was applied.
    pub settled: HashMap<String, (String, String)>,
    /// Objects that were made for the strategy, or may have been: the answer did not come.
    pub made: BTreeSet<(Kind, String)>,
}

impl Remembered {
    /// Whether applying `hash` again to this very state of an object would change nothing.
    pub fn is_settled(&self, uid: &str, version: &str, hash: &str) -> bool {
        self.settled.get(uid).is_some_and(|(v, h)| v == version && h == hash)
    }
}

/// The memory of one process between reconciles.
#[derive(Debug, Default)]
pub struct Memory {
    /// Which routings compile.
    pub(super) compiled: CompiledRoutings,
    /// Since when an object or a strategy, by UID, has been waiting to be deleted.
    waiting: Mutex<HashMap<String, Instant>>,
    /// Objects that applying left different from what was wanted, by UID: resource version and hash. Another
    /// apply would change nothing.
    settled: Mutex<HashMap<String, (String, String)>>,
    /// The records that were written to pools, by the UID of the pool.
    records: Mutex<HashMap<String, Record>>,
    /// The routing that was put into the history last, by the UID of the strategy.
    kept: Mutex<HashMap<String, KeptRevision>>,
    /// Kinds and names of objects that were made, or may have been, and were not seen since, by the UID of the strategy.
    made: Mutex<HashMap<String, BTreeSet<(Kind, String)>>>,
    /// Since when the former reference of a pool is refused, by the UID of the pool.
    refusals: Mutex<HashMap<String, Instant>>,
    /// The generation that was looked at last, by the UID of the strategy.
    looked: Mutex<HashMap<String, i64>>,
    /// What is known of the Events of pods.
    pub(super) inspections: Inspections,
    /// The reconciles that run, and those that failed.
    pub attempts: Attempts,
    /// Whether connections to the Services of pickers arrive.
    pub reach: Reach,
    /// The order in which Deployments are rolled to a new release.
    pub(super) upgrades: UpgradeQueue,
    /// The statuses that the cache may not have yet.
    pub(super) statuses: WrittenStatuses,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// Knows nothing yet. Other nodes have `margin` to follow when a connection to a Service arrived.
    pub fn with_margin(margin: Duration) -> (Self, Probes) {
        let (reach, probes) = Reach::new(margin);
        (Self { reach, ..Self::default() }, probes)
    }

    /// The writes around a strategy: to its history, to `pools` and to `objects`, each told by UID.
    pub(super) fn remembered<'a>(
        &self,
        strategy: &str,
        pools: impl Iterator<Item = &'a str>,
        objects: impl Iterator<Item = &'a str>,
    ) -> Remembered {
        let (records, settled) = (lock(&self.records), lock(&self.settled));
        let record = |uid: &str| Some((uid.to_owned(), records.get(uid)?.clone()));
        let state = |uid: &str| Some((uid.to_owned(), settled.get(uid)?.clone()));
        Remembered {
            kept: lock(&self.kept).get(strategy).cloned(),
            records: pools.filter_map(record).collect(),
            settled: objects.filter_map(state).collect(),
            made: lock(&self.made).get(strategy).cloned().unwrap_or_default(),
        }
    }

    /// Notes that an object was made for a strategy.
    pub(super) fn note_made(&self, strategy: &str, kind: Kind, name: &str) {
        lock(&self.made).entry(strategy.to_owned()).or_default().insert((kind, name.to_owned()));
    }

    /// Forgets that objects were made for a strategy which are in the caches by now.
    pub(super) fn note_seen<'a>(&self, strategy: &str, seen: impl Iterator<Item = (Kind, &'a str)>) {
        let mut made = lock(&self.made);
        let Some(unseen) = made.get_mut(strategy) else { return };
        for (kind, name) in seen {
            unseen.remove(&(kind, name.to_owned()));
        }
        if unseen.is_empty() {
            made.remove(strategy);
        }
    }

    /// The rest of the time `hold` for what is waiting under `uid`, counted from the first call; `None`
    /// when it is over.
    pub fn hold(&self, uid: &str, hold: Duration, now: Instant) -> Option<Duration> {
        let since = *lock(&self.waiting).entry(uid.to_owned()).or_insert(now);
        hold.checked_sub(now.duration_since(since)).filter(|left| !left.is_zero())
    }

    /// Forgets that something waits.
    pub fn end_hold(&self, uid: &str) {
        lock(&self.waiting).remove(uid);
    }

    /// Forgets which pools of a strategy wait for another one to take them, but for those that pass on `still`.
    pub(super) fn end_handovers(&self, strategy: &str, still: impl Fn(&str) -> bool) {
        let is_its = |name: &str| name.strip_prefix(strategy).is_some_and(|rest| rest.starts_with('/'));
        lock(&self.waiting).retain(|name, _| !is_its(name) || still(name));
    }

    /// Notes that applying `hash` left the object different, in the state `version`.
    pub fn settle(&self, uid: &str, version: &str, hash: &str) {
        lock(&self.settled).insert(uid.to_owned(), (version.to_owned(), hash.to_owned()));
    }

    /// Notes what was written to a pool.
    pub(super) fn remember(&self, pool: &str, record: &Record) {
        lock(&self.records).insert(pool.to_owned(), record.clone());
    }

    /// Notes that the former reference of a pool is refused, and tells for how long it has been.
    pub(super) fn refused(&self, pool: &str, now: Instant) -> Duration {
        now.duration_since(*lock(&self.refusals).entry(pool.to_owned()).or_insert(now))
    }

    /// Forgets what was written to a pool, and what was refused.
    pub(super) fn forget(&self, pool: &str) {
        lock(&self.records).remove(pool);
        lock(&self.refusals).remove(pool);
    }

    /// Notes what was put into the history of a strategy.
    pub(super) fn keep(&self, strategy: &str, kept: KeptRevision) {
        lock(&self.kept).insert(strategy.to_owned(), kept);
    }

    /// Notes that a generation of a strategy is looked at, and tells whether for the first time.
    pub(super) fn first_look(&self, strategy: &str, generation: i64) -> bool {
        lock(&self.looked).insert(strategy.to_owned(), generation) != Some(generation)
    }

    /// Forgets all that others may have changed while this process did not lead. Compile results stay valid
    /// for the life of the process.
    pub fn begin(&self) {
        lock(&self.waiting).clear();
        lock(&self.settled).clear();
        lock(&self.records).clear();
        lock(&self.kept).clear();
        lock(&self.made).clear();
        lock(&self.refusals).clear();
        lock(&self.looked).clear();
        self.statuses.clear();
        self.reach.begin();
    }

    /// Forgets what is not in the cluster any more.
    pub fn prune(&self, is_there: impl Fn(&str) -> bool) {
        self.attempts.prune(&is_there);
        // Of a pool that passes to another strategy: the UIDs of both.
        lock(&self.waiting).retain(|uids, _| uids.split('/').all(&is_there));
        lock(&self.settled).retain(|uid, _| is_there(uid));
        lock(&self.records).retain(|uid, _| is_there(uid));
        lock(&self.kept).retain(|uid, _| is_there(uid));
        lock(&self.made).retain(|uid, _| is_there(uid));
        lock(&self.refusals).retain(|uid, _| is_there(uid));
        lock(&self.looked).retain(|uid, _| is_there(uid));
        self.reach.prune(&is_there);
        self.upgrades.prune(&is_there);
        self.statuses.prune(&is_there);
    }
}

#[cfg(test)]
mod tests;
