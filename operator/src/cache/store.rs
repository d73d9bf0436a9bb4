//! The caches of all kinds together, as reconciles and triggers read them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crds::{Pool, PoolGroup, RoutingStrategy};

use super::edits::Edits;
use super::index::Index;
use super::object::HeldObject;
use super::orphans::Orphans;
use super::pods::PodFacts;
use super::slices::SliceFacts;
use crate::kinds::Kind;

/// The caches of all kinds.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Strategies, by namespace.
    pub strategies: Arc<Index<RoutingStrategy>>,
    /// Pools of each group, each by namespace. Nothing is known of a group whose API is not
    /// installed: see [`Cache::serves`].
    pub pools: BTreeMap<PoolGroup, Arc<Index<Pool>>>,
    /// Objects that the operator made, also by the name of their strategy.
    pub owned: BTreeMap<Kind, Arc<Index<HeldObject>>>,
    /// The facts of all pods.
    pub pods: Arc<Index<PodFacts>>,
    /// The edits of strategies, and how long they took to be live.
    pub edits: Arc<Edits>,
    /// The facts of the EndpointSlices of the operator's Services, also by the name of their Service.
    pub slices: Arc<Index<SliceFacts>>,
    /// Strategies that are deleted with the wish that what was made for them stays.
    pub orphans: Arc<Orphans>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            strategies: Arc::default(),
            pools: PoolGroup::ALL.map(|group| (group, Arc::default())).into(),
            owned: Kind::ALL
                .map(|kind| {
                    (kind, Arc::new(Index::by_label(|object: &HeldObject| object.strategy.as_deref())))
                })
                .into(),
            pods: Arc::default(),
            edits: Arc::default(),
            slices: Arc::new(Index::by_label(|slice: &SliceFacts| Some(&slice.service))),
            orphans: Arc::default(),
        }
    }
}

impl Cache {
    /// Whether everything was listed once, so that what is not in the caches is not there. EndpointSlices aside, which say only
    /// when a pool can be bound.
    pub fn is_ready(&self) -> bool {
        self.strategies.is_listed()
            && self.pods.is_listed()
            && self.owned.values().all(|index| index.is_decided())
            && self.pools.values().all(|index| index.is_decided())
    }

    /// Whether pools of `group` can exist and are known.
    pub fn serves(&self, group: PoolGroup) -> bool {
        self.pools.get(&group).is_some_and(|index| index.is_listed())
    }

    /// Whether objects of `kind` can exist and are known.
    pub fn has(&self, kind: Kind) -> bool {
        self.owned.get(&kind).is_some_and(|index| index.is_listed())
    }

    /// UIDs of all that is known, pods aside.
    pub fn uids(&self) -> HashSet<String> {
        let strategies = self.strategies.all().into_iter().filter_map(|s| s.metadata.uid.clone());
        let pools = self.pools.values().flat_map(|index| index.all()).filter_map(|p| p.metadata.uid.clone());
        let owned = self.owned.values().flat_map(|index| index.all()).map(|o| o.uid.clone());
        strategies.chain(pools).chain(owned).collect()
    }

    /// Whether the Service `name` has an address that takes requests; `None` while EndpointSlices are not known.
    pub fn has_addresses(&self, namespace: &str, name: &str) -> Option<bool> {
        let ready = || self.slices.labelled(namespace, name).iter().any(|slice| slice.ready);
        self.slices.is_listed().then(ready)
    }

    /// All known pools of a namespace.
    pub fn pools_of(&self, namespace: &str) -> Vec<Arc<Pool>> {
        self.pools.values().flat_map(|index| index.within(namespace)).collect()
    }
}
