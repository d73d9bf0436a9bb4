//! The first step of a reconcile: reads everything that it looks at from the caches, at one moment.

use std::sync::Arc;

use crds::{PoolGroup, RoutingStrategy};
use kube::core::DynamicObject;

use super::claims::claims;
use super::memory::Memory;
use super::snapshot::Snapshot;
use crate::cache::Cache;
use crate::kinds::{Kind, Scope};
use crate::names;

/// Reads the caches, and what this process remembers of its own writes.
pub(super) fn dereference(strategy: Arc<RoutingStrategy>, cache: &Cache, memory: &Memory) -> Snapshot {
    let strategy = memory.statuses.newest(strategy);
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
    let own = strategy.metadata.uid.clone();
    let mut others = cache.strategies.within(&namespace);
    others.retain(|other| other.metadata.uid != own);
    let mut owned: Vec<_> = owned.chain(of_cluster).collect();
    let pools = cache.pools_of(&namespace);
    let claimed = pools.iter().filter(|pool| claims(&strategy, pool));
    for picker in claimed.map(|pool| names::picker(pool.group, pool.name())) {
        for (kind, index) in cache.owned.iter().filter(|(kind, _)| kind.is_of_a_workload()) {
            // What has its label is among them already.
            let others = index.get(&namespace, &picker).filter(|held| held.strategy.as_ref() != Some(&name));
            owned.extend(others.map(|held| (*kind, Arc::new(held.object()))));
        }
    }
    let uid = strategy.metadata.uid.as_deref().unwrap_or_default();
    let seen = |(kind, object): &'_ (Kind, Arc<DynamicObject>)| Some((*kind, object.metadata.name.clone()?));
    let seen: Vec<_> = owned.iter().filter_map(seen).collect();
    memory.note_seen(uid, seen.iter().map(|(kind, name)| (*kind, name.as_str())));
    let remembered = memory.remembered(
        uid,
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
        orphans: cache.orphans.contains(uid),
        overlap: None,
        strategy,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::HeldObject;
    use crate::strategy::testing::{pool, rights, snapshot};

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

    /// One that a strategy which is gone has left, and that carries its name.
    #[test]
    fn what_has_the_name_of_a_picker_is_found_whatever_its_labels() {
        let cache = Cache::default();
        cache.pools[&PoolGroup::V1].insert("llm", "qwen", Arc::new(pool("qwen", "old-epp")));
        for (name, strategy) in [("qwen-picker", "gone"), ("phi-picker", "gone"), ("a-picker", "chat")] {
            let labels = json!({names::STRATEGY: strategy, names::MANAGED_BY: names::MANAGED_BY_WAYPOST});
            let object = json!({"metadata": {"name": name, "namespace": "llm", "labels": labels}});
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            cache.owned[&Kind::Service].insert("llm", name, Arc::new(HeldObject::from(&object)));
        }
        let memory = Memory::default();
        memory.note_made("uid-chat", Kind::Service, "qwen-picker");
        memory.note_made("uid-chat", Kind::Role, "qwen-picker");
        let snapshot = dereference(snapshot().strategy, &cache, &memory);
        let names: Vec<_> =
            snapshot.owned.iter().filter_map(|(_, live)| live.metadata.name.as_deref()).collect();
        assert_eq!(names, ["a-picker", "qwen-picker"]);
        assert_eq!(snapshot.remembered.made, [(Kind::Role, "qwen-picker".to_owned())].into());
    }
}
