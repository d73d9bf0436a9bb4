//! The statuses of strategies that this process has written and the cache may not have yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::{RoutingStrategy, RoutingStrategyStatus};

/// Statuses that were written, by the UID of their strategy. Without them, a reconcile that follows a write at once would
/// write the same again, and tell its Events again.
#[derive(Debug, Default)]
pub(super) struct WrittenStatuses(Mutex<HashMap<String, Written>>);

#[derive(Debug)]
struct Written {
    /// The resource version that the write made.
    version: u64,
    status: RoutingStrategyStatus,
}

/// The resource version, which the API server counts up. See
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.
fn version(strategy: &RoutingStrategy) -> Option<u64> {
    strategy.metadata.resource_version.as_deref()?.parse().ok()
}

impl WrittenStatuses {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Written>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a strategy as the API server returned it when its status was written.
    pub fn note(&self, strategy: &RoutingStrategy) {
        if let (Some(version), Some(uid), Some(status)) =
            (version(strategy), &strategy.metadata.uid, &strategy.status)
        {
            self.lock().insert(uid.clone(), Written { version, status: status.clone() });
        }
    }

    /// A strategy of the cache, with the status that was written last where the cache is behind it.
    pub fn newest(&self, cached: Arc<RoutingStrategy>) -> Arc<RoutingStrategy> {
        let mut all = self.lock();
        let Some(uid) = cached.metadata.uid.as_deref() else { return cached };
        match all.get(uid) {
            Some(written) if version(&cached).is_some_and(|cached| cached < written.version) => {
                let mut newest = (*cached).clone();
                newest.status = Some(written.status.clone());
                Arc::new(newest)
            }
            Some(_) => {
                all.remove(uid);
                cached
            }
            None => cached,
        }
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Forgets those of strategies that are not there any more.
    pub fn prune(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| is_there(uid));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::testing::strategy;

    fn at(version: &str, revision: &str) -> Arc<RoutingStrategy> {
        let mut strategy = strategy(json!({"pools": []}));
        strategy.metadata.resource_version = Some(version.to_owned());
        let revision = Some(revision.to_owned());
        strategy.status = Some(RoutingStrategyStatus { revision, ..RoutingStrategyStatus::default() });
        Arc::new(strategy)
    }

    #[test]
    fn a_status_stands_in_until_the_cache_has_it() {
        let written = WrittenStatuses::default();
        let newest = |cached: &Arc<RoutingStrategy>| written.newest(cached.clone()).status.clone();
        written.note(&at("10", "new"));
        assert_eq!(newest(&at("9", "old")), at("10", "new").status);
        // Another's later write is in the cache.
        assert_eq!(newest(&at("11", "later")), at("11", "later").status);
        // And it is forgotten by then.
        assert_eq!(newest(&at("9", "old")), at("9", "old").status);
    }

    #[test]
    fn versions_that_are_no_numbers_are_never_behind() {
        let written = WrittenStatuses::default();
        written.note(&at("b", "new"));
        assert_eq!(written.newest(at("a", "old")).status, at("a", "old").status);
        written.note(&at("10", "new"));
        assert_eq!(written.newest(at("a", "old")).status, at("a", "old").status);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let written = WrittenStatuses::default();
        written.note(&at("10", "new"));
        written.prune(|_| false);
        assert_eq!(written.newest(at("9", "old")).status, at("9", "old").status);
    }
}
