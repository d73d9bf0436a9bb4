//! The first step of a reconcile: reads everything that it looks at from the caches, at one moment.

use std::sync::Arc;

use crds::{PoolGroup, RoutingStrategy};

use super::memory::Memory;
use super::snapshot::Snapshot;
use crate::cache::Cache;
use crate::kinds::{Kind, Scope};
use crate::names;

/// Reads the caches, and what this process remembers of its own writes.
pub(super) fn dereference(strategy: Arc<RoutingStrategy>, cache: &Cache, memory: &Memory) -> Snapshot {
    let namespace = strategy.metadata.namespace.clone().unwrap_or_default();
    let name = strategy.metadata.name.clone().unwrap_or_default();
    let owned = cache.owned.iter().flat_map(|(kind, index)| {
        let objects = index.labelled(&namespace, &name).into_iter();
        objects.map(|held| (*kind, Arc::new(held.object()))).collect::<Vec<_>>()
    });
    let of_cluster = Kind::ALL.into_iter().filter(|kind| kind.scope() == Scope::Cluster).filter_map(|kind| {
        let held = cache.owned.get(&kind)?.get("", &names::cluster(&namespace, &name))?;
        Some((kind, Arc::new(held.object())))
    });
    let uid = strategy.metadata.uid.clone();
    let mut others = cache.strategies.within(&namespace);
    others.retain(|other| other.metadata.uid != uid);
    let owned: Vec<_> = owned.chain(of_cluster).collect();
    let pools = cache.pools_of(&namespace);
    let remembered = memory.remembered(
        strategy.metadata.uid.as_deref().unwrap_or_default(),
        pools.iter().map(|pool| pool.uid()),
        owned.iter().filter_map(|(_, object)| object.metadata.uid.as_deref()),
    );
    Snapshot {
        monitors: cache.has(Kind::ServiceMonitor),
        owned,
        others,
        pools,
        unserved: PoolGroup::ALL.into_iter().filter(|group| !cache.serves(*group)).collect(),
        pods: cache.pods.within(&namespace),
        remembered,
        strategy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::HeldObject;
    use crate::strategy::testing::{rights, snapshot};

    #[test]
    fn the_rights_of_the_pickers_are_found_outside_of_the_namespace() {
        let cache = Cache::default();
        let index = &cache.owned[&Kind::ClusterRoleBinding];
        index.insert("", "waypost:llm:chat", Arc::new(HeldObject::from(&rights("chat"))));
        index.insert("", "waypost:llm:other", Arc::new(HeldObject::from(&rights("other"))));
        let snapshot = dereference(snapshot().strategy, &cache, &Memory::default());
        let found: Vec<_> = snapshot.owned.iter().map(|(kind, live)| (*kind, snapshot.owns(live))).collect();
        assert_eq!(found, [(Kind::ClusterRoleBinding, true)]);
    }
}
