//! First step: everything that a reconcile looks at, taken from the caches at one moment.

use std::sync::Arc;

use crds::{Pool, PoolGroup, RoutingStrategy};
use kube::core::DynamicObject;

use crate::cache::{Cache, PodFacts};
use crate::kinds::Kind;
use crate::names;

/// What the cluster holds around one strategy.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub strategy: Arc<RoutingStrategy>,
    /// The other strategies of its namespace.
    pub others: Vec<Arc<RoutingStrategy>>,
    /// All pools of its namespace.
    pub pools: Vec<Arc<Pool>>,
    /// The groups whose pools are not known, since their API is not installed.
    pub unserved: Vec<PoolGroup>,
    /// Whether ServiceMonitors can be made.
    pub monitors: bool,
    /// Objects that carry the strategy's label.
    pub owned: Vec<(Kind, Arc<DynamicObject>)>,
    /// All pods of its namespace.
    pub pods: Vec<Arc<PodFacts>>,
}

impl Snapshot {
    pub fn name(&self) -> &str {
        self.strategy.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn namespace(&self) -> &str {
        self.strategy.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.strategy.metadata.uid.as_deref().unwrap_or_default()
    }

    pub fn generation(&self) -> i64 {
        self.strategy.metadata.generation.unwrap_or_default()
    }

    pub fn is_deleting(&self) -> bool {
        self.strategy.metadata.deletion_timestamp.is_some()
    }

    pub fn has_finalizer(&self) -> bool {
        self.strategy.metadata.finalizers.iter().flatten().any(|f| f == super::FINALIZER)
    }

    /// The revision that pickers are to serve.
    pub fn revision(&self) -> Option<&str> {
        self.strategy.status.as_ref()?.revision.as_deref()
    }

    /// The object of `kind` called `name`, whoever owns it.
    pub fn object(&self, kind: Kind, name: &str) -> Option<&Arc<DynamicObject>> {
        let found = self.owned.iter().find(|(k, o)| *k == kind && o.metadata.name.as_deref() == Some(name));
        found.map(|(_, object)| object)
    }

    /// Whether `object` belongs to this very strategy, not to a former one of the same name.
    pub fn owns(&self, object: &DynamicObject) -> bool {
        let label = |name| object.metadata.labels.as_ref().and_then(|l| l.get(name)).map(String::as_str);
        match object.metadata.namespace {
            Some(_) => object.metadata.owner_references.iter().flatten().any(|owner| owner.uid == self.uid()),
            // No owner reference leads from the cluster into a namespace. A former strategy of the same name
            // had the same one.
            None => {
                label(names::MANAGED_BY) == Some(names::MANAGED_BY_WAYPOST)
                    && label(names::NAMESPACE) == Some(self.namespace())
                    && label(names::STRATEGY) == Some(self.name())
            }
        }
    }

    /// Name of what it has outside of its namespace.
    pub fn cluster_name(&self) -> String {
        names::cluster(self.namespace(), self.name())
    }

    /// The ready pickers of this strategy.
    pub fn ready_pickers(&self) -> impl Iterator<Item = &Arc<PodFacts>> {
        self.pods.iter().filter(|pod| pod.ready && pod.strategy() == Some(self.name()))
    }
}

/// Reads the caches.
pub(super) fn dereference(strategy: Arc<RoutingStrategy>, cache: &Cache) -> Snapshot {
    let namespace = strategy.metadata.namespace.clone().unwrap_or_default();
    let name = strategy.metadata.name.clone().unwrap_or_default();
    let labelled = |object: &DynamicObject| {
        object.metadata.labels.as_ref().and_then(|labels| labels.get(names::STRATEGY)) == Some(&name)
    };
    let owned = cache.owned.iter().flat_map(|(kind, index)| {
        let objects = index.within(&namespace).into_iter().filter(|object| labelled(object));
        objects.map(|object| (*kind, object)).collect::<Vec<_>>()
    });
    let of_cluster = Kind::ALL.into_iter().filter(|kind| !kind.is_namespaced()).filter_map(|kind| {
        Some((kind, cache.owned.get(&kind)?.get("", &names::cluster(&namespace, &name))?))
    });
    let uid = strategy.metadata.uid.clone();
    let mut others = cache.strategies.within(&namespace);
    others.retain(|other| other.metadata.uid != uid);
    Snapshot {
        monitors: cache.has(Kind::ServiceMonitor),
        owned: owned.chain(of_cluster).collect(),
        others,
        pools: cache.pools_of(&namespace),
        unserved: PoolGroup::ALL.into_iter().filter(|group| !cache.serves(*group)).collect(),
        pods: cache.pods.within(&namespace),
        strategy,
    }
}
