//! Strategies that are deleted with the wish that what was made for them stays.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::RoutingStrategy;
use kube::runtime::watcher::Event;

/// The finalizer by which the API server notes `--cascade=orphan`. The garbage collector takes it away at once, so that
/// it may be seen in one event only.
const ORPHAN: &str = "orphan";

/// The UIDs of strategies that were seen being deleted with `--cascade=orphan`, and are there still.
#[derive(Debug, Default)]
pub struct Orphans(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    orphaned: HashSet<String>,
    /// Those of them that the list under way has. The others are gone at its end.
    listed: HashSet<String>,
}

impl Orphans {
    /// Whether the strategy `uid` is deleted so.
    pub fn contains(&self, uid: &str) -> bool {
        self.lock().orphaned.contains(uid)
    }

    /// Notes what an event tells.
    pub(super) fn note(&self, event: &Event<Arc<RoutingStrategy>>) {
        let mut seen = self.lock();
        match event {
            Event::Apply(strategy) | Event::InitApply(strategy) => {
                let metadata = &strategy.metadata;
                let wished = metadata.finalizers.iter().flatten().any(|finalizer| finalizer == ORPHAN);
                if let Some(uid) = &metadata.uid
                    && metadata.deletion_timestamp.is_some()
                    && wished
                {
                    seen.orphaned.insert(uid.clone());
                }
                if let (Event::InitApply(_), Some(uid)) = (event, &metadata.uid)
                    && seen.orphaned.contains(uid)
                {
                    seen.listed.insert(uid.clone());
                }
            }
            Event::Delete(strategy) => {
                seen.orphaned.remove(strategy.metadata.uid.as_deref().unwrap_or_default());
            }
            Event::Init => seen.listed.clear(),
            Event::InitDone => seen.orphaned = std::mem::take(&mut seen.listed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    #[test]
    fn the_wish_is_known_until_the_strategy_is_gone() {
        let orphans = Orphans::default();
        let mut strategy = RoutingStrategy::default();
        strategy.metadata.uid = Some("u".to_owned());
        strategy.metadata.finalizers = Some(vec!["waypost.dev/release-pools".to_owned(), ORPHAN.to_owned()]);
        // Whoever writes that finalizer deletes nothing.
        let apply = |strategy: &RoutingStrategy| orphans.note(&Event::Apply(Arc::new(strategy.clone())));
        apply(&strategy);
        assert!(!orphans.contains("u"));
        strategy.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        apply(&strategy);
        strategy.metadata.finalizers.as_mut().unwrap().pop();
        apply(&strategy);
        orphans.note(&Event::Init);
        assert!(orphans.contains("u"));
        orphans.note(&Event::InitApply(Arc::new(strategy.clone())));
        orphans.note(&Event::InitDone);
        assert!(orphans.contains("u"));
        orphans.note(&Event::Delete(Arc::new(strategy)));
        assert!(!orphans.contains("u"));
    }

    /// No event tells of a strategy that goes while the watch is interrupted.
    #[test]
    fn what_a_list_has_not_is_gone() {
        let orphans = Orphans::default();
        let mut strategy = RoutingStrategy::default();
        strategy.metadata.uid = Some("u".to_owned());
        strategy.metadata.finalizers = Some(vec![ORPHAN.to_owned()]);
        strategy.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        orphans.note(&Event::InitApply(Arc::new(strategy)));
        orphans.note(&Event::InitDone);
        assert!(orphans.contains("u"));
        orphans.note(&Event::Init);
        orphans.note(&Event::InitDone);
        assert!(!orphans.contains("u"));
    }
}
