//! What one process remembers between reconciles. Losing it costs time, never correctness.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use picker_core::config::{Errors, Scope, revision};
use picker_core::store::StateStore;
use picker_core::compile::compile;
use serde_json::Value;

use super::dereference::Kept;
use super::record::Record;
use super::turns::Turns;

/// Compiled routings are forgotten together when there are more than this.
const MAX_COMPILED: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Memory {
    compiled: Mutex<HashMap<String, Result<(), Errors>>>,
    /// Since when something, by UID, has been waiting to be removed.
    waiting: Mutex<HashMap<String, Instant>>,
    /// What applying left different from what was wanted, by UID: resource version and hash. Another
    /// apply would change nothing.
    settled: Mutex<HashMap<String, (String, String)>>,
    /// The records that were written to pools, by the UID of the pool.
    records: Mutex<HashMap<String, Record>>,
    /// The routing that was put into the history last, by the UID of the strategy.
    kept: Mutex<HashMap<String, Kept>>,
    /// Since when the former reference of a pool is refused, by the UID of the pool.
    refusals: Mutex<HashMap<String, Instant>>,
    /// How often in a row work on a strategy failed, by its UID.
    failures: Mutex<HashMap<String, u32>>,
    running: Mutex<HashMap<String, Instant>>,
    pub(super) turns: Turns,
}

/// A reconcile that runs; ends when dropped.
#[derive(Debug)]
pub struct Running<'a> {
    memory: &'a Memory,
    name: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.memory.running).remove(&self.name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// Whether a routing compiles. Each is compiled once.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(&self, routing: &Value) -> Result<(), Errors> {
        let revision = revision(routing);
        if let Some(known) = lock(&self.compiled).get(&revision) {
            return known.clone();
        }
        let result = compile(routing, Scope::Resource, &StateStore::default()).map(drop);
        let mut compiled = lock(&self.compiled);
        if compiled.len() >= MAX_COMPILED {
            compiled.clear();
        }
        compiled.insert(revision, result.clone());
        result
    }

    /// How much of `hold` is left for what is waiting under `uid`, counted from the first call; `None`
    /// when it is over.
    pub fn hold(&self, uid: &str, hold: Duration, now: Instant) -> Option<Duration> {
        let since = *lock(&self.waiting).entry(uid.to_owned()).or_insert(now);
        hold.checked_sub(now.duration_since(since)).filter(|left| !left.is_zero())
    }

    /// Forgets that something waits.
    pub fn end_hold(&self, uid: &str) {
        lock(&self.waiting).remove(uid);
    }

    /// Notes that applying `hash` left the object different, in the state `version`.
    pub fn settle(&self, uid: &str, version: &str, hash: &str) {
        lock(&self.settled).insert(uid.to_owned(), (version.to_owned(), hash.to_owned()));
    }

    /// Whether applying `hash` again to this very state would change nothing.
    pub fn is_settled(&self, uid: &str, version: &str, hash: &str) -> bool {
        lock(&self.settled).get(uid).is_some_and(|(v, h)| v == version && h == hash)
    }

    /// Notes what was written to a pool.
    pub(super) fn remember(&self, pool: &str, record: &Record) {
        lock(&self.records).insert(pool.to_owned(), record.clone());
    }

    /// What was written to a pool last.
    pub(super) fn record(&self, pool: &str) -> Option<Record> {
        lock(&self.records).get(pool).cloned()
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
    pub(super) fn keep(&self, strategy: &str, kept: Kept) {
        lock(&self.kept).insert(strategy.to_owned(), kept);
    }

    /// What was put into the history of a strategy last.
    pub(super) fn kept(&self, strategy: &str) -> Option<Kept> {
        lock(&self.kept).get(strategy).cloned()
    }

    /// Forgets all that others may have changed while this process did not lead. What compiles does so still.
    pub fn begin(&self) {
        lock(&self.waiting).clear();
        lock(&self.settled).clear();
        lock(&self.records).clear();
        lock(&self.kept).clear();
        lock(&self.refusals).clear();
    }

    /// Forgets what is not in the cluster any more.
    pub fn prune(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.waiting).retain(|uid, _| is_there(uid));
        lock(&self.settled).retain(|uid, _| is_there(uid));
        lock(&self.records).retain(|uid, _| is_there(uid));
        lock(&self.failures).retain(|uid, _| is_there(uid));
        lock(&self.kept).retain(|uid, _| is_there(uid));
        lock(&self.refusals).retain(|uid, _| is_there(uid));
    }

    /// Notes that work on a strategy failed, and tells how often it had before, in a row.
    pub fn failed(&self, strategy: &str) -> u32 {
        let mut failures = lock(&self.failures);
        let count = failures.entry(strategy.to_owned()).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        before
    }

    /// Notes that work on a strategy succeeded.
    pub fn succeeded(&self, strategy: &str) {
        lock(&self.failures).remove(strategy);
    }

    /// Notes that a reconcile runs.
    pub fn running(&self, name: String) -> Running<'_> {
        lock(&self.running).insert(name.clone(), Instant::now());
        Running { memory: self, name }
    }

    /// How long the oldest of the reconciles that run has been running.
    pub fn oldest_run(&self, now: Instant) -> Duration {
        lock(&self.running).values().map(|since| now.duration_since(*since)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hold_runs_from_its_first_mention() {
        let (memory, start, hold) = (Memory::default(), Instant::now(), Duration::from_secs(30));
        assert_eq!(memory.hold("a", hold, start), Some(hold));
        assert_eq!(memory.hold("a", hold, start + Duration::from_secs(10)), Some(Duration::from_secs(20)));
        assert_eq!(memory.hold("a", hold, start + hold), None);
        memory.end_hold("a");
        assert_eq!(memory.hold("a", hold, start + hold), Some(hold));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (memory, start, hold) = (Memory::default(), Instant::now(), Duration::from_secs(30));
        for uid in ["there", "gone"] {
            memory.settle(uid, "7", "hash");
            memory.remember(uid, &Record::default());
            assert_eq!(memory.hold(uid, hold, start), Some(hold));
        }
        memory.prune(|uid| uid == "there");
        assert!(memory.is_settled("there", "7", "hash") && !memory.is_settled("gone", "7", "hash"));
        assert!(memory.record("there").is_some() && memory.record("gone").is_none());
        assert_eq!(memory.hold("there", hold, start + hold), None);
        assert_eq!(memory.hold("gone", hold, start + hold), Some(hold));
    }

    #[test]
    fn who_begins_to_lead_knows_nothing() {
        let (memory, start, hold) = (Memory::default(), Instant::now(), Duration::from_secs(30));
        memory.settle("a", "7", "hash");
        memory.remember("a", &Record::default());
        memory.keep("a", Kept { number: 1, revision: "r".to_owned() });
        memory.refused("a", start);
        assert_eq!(memory.hold("a", hold, start), Some(hold));
        memory.begin();
        assert!(!memory.is_settled("a", "7", "hash"));
        assert_eq!((memory.record("a"), memory.kept("a")), (None, None));
        assert_eq!(memory.refused("a", start + hold), Duration::ZERO);
        assert_eq!(memory.hold("a", hold, start + hold), Some(hold));
    }

    #[test]
    fn failures_count_until_something_succeeds() {
        let memory = Memory::default();
        assert_eq!([memory.failed("a"), memory.failed("a"), memory.failed("b")], [0, 1, 0]);
        memory.succeeded("a");
        assert_eq!([memory.failed("a"), memory.failed("b")], [0, 1]);
    }

    #[test]
    fn a_settled_object_is_settled_for_that_state_only() {
        let memory = Memory::default();
        memory.settle("uid", "7", "hash");
        assert!(memory.is_settled("uid", "7", "hash"));
        assert!(!memory.is_settled("uid", "8", "hash"));
        assert!(!memory.is_settled("uid", "7", "other"));
    }

    #[test]
    fn refusals_last_until_the_pool_is_forgotten() {
        let (memory, start, minute) = (Memory::default(), Instant::now(), Duration::from_secs(60));
        assert_eq!(memory.refused("a", start), Duration::ZERO);
        assert_eq!(memory.refused("a", start + minute), minute);
        assert_eq!(memory.refused("b", start + minute), Duration::ZERO);
        memory.forget("a");
        assert_eq!(memory.refused("a", start + minute), Duration::ZERO);
    }

    #[test]
    fn compiling_is_remembered_with_its_errors() {
        let memory = Memory::default();
        let bad = json!({"plugins": [{"type": "no-such-plugin"}]});
        let first = memory.compile(&bad);
        assert!(first.is_err());
        assert_eq!(memory.compile(&bad), first);
        assert_eq!(memory.compile(&json!({"plugins": [{"type": "queue-scorer"}]})), Ok(()));
    }
}
