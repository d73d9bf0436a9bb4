//! Triggers of reconciles: which strategies a change in the cluster concerns.

use crds::{Pool, RoutingStrategy};
use kube::core::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use super::pods::PodFacts;
use super::store::Cache;
use crate::names;

/// The queue of strategies to reconcile.
pub type Requests = mpsc::UnboundedReceiver<ObjectRef<RoutingStrategy>>;

/// The sender of reconcile requests. A strategy that is asked for twice is reconciled once: the queue behind it holds
/// each at most one time.
#[derive(Clone, Debug)]
pub struct Triggers {
    cache: Cache,
    queue: mpsc::UnboundedSender<ObjectRef<RoutingStrategy>>,
}

impl Triggers {
    /// Triggers, and the requests that come of them.
    pub fn new(cache: Cache) -> (Self, Requests) {
        let (queue, requests) = mpsc::unbounded_channel();
        (Self { cache, queue }, requests)
    }

    /// Asks for every strategy.
    pub fn all(&self) {
        for strategy in self.cache.strategies.all() {
            self.one(&strategy);
        }
    }

    fn one(&self, strategy: &RoutingStrategy) {
        self.send(ObjectRef::from_obj(strategy));
    }

    fn named(&self, namespace: &str, name: &str) {
        self.send(ObjectRef::new(name).within(namespace));
    }

    fn send(&self, strategy: ObjectRef<RoutingStrategy>) {
        // Fails only when the program ends.
        let _ = self.queue.send(strategy);
    }

    fn namespace(&self, namespace: &str) {
        for strategy in self.cache.strategies.within(namespace) {
            self.one(&strategy);
        }
    }

    /// A strategy changed: its claims concern the other strategies of its namespace.
    pub(super) fn strategy(&self, old: Option<&RoutingStrategy>, new: Option<&RoutingStrategy>) {
        let claims = |s: &RoutingStrategy| (s.spec.pools.clone(), s.metadata.deletion_timestamp.is_some());
        let Some(any) = new.or(old) else { return };
        if old.map(claims) != new.map(claims) {
            self.namespace(any.metadata.namespace.as_deref().unwrap_or_default());
        }
        if new.is_some() {
            self.one(any);
        }
    }

    /// An object of the operator changed. One that is gone may have stood in another strategy's way.
    pub(super) fn owned(&self, old: Option<&DynamicObject>, new: Option<&DynamicObject>) {
        for object in [old, new].into_iter().flatten() {
            let label = |name| object.metadata.labels.as_ref().and_then(|l| l.get(name)).map(String::as_str);
            let namespace =
                object.metadata.namespace.as_deref().or(label(names::NAMESPACE)).unwrap_or_default();
            if new.is_none() {
                self.namespace(namespace);
            } else if let Some(strategy) = label(names::STRATEGY) {
                self.named(namespace, strategy);
            }
        }
    }

    /// A pool changed in a way that matters: its status doesn't.
    pub(super) fn pool(&self, old: Option<&Pool>, new: Option<&Pool>) {
        let matters = |pool: &Pool| {
            let mut pool = pool.clone();
            pool.metadata.resource_version = None;
            pool.metadata.managed_fields = None;
            pool.metadata.generation = None;
            pool
        };
        if old.map(matters) != new.map(matters)
            && let Some(pool) = new.or(old)
        {
            self.namespace(pool.namespace());
        }
    }

    /// A pod changed: a picker, or a model server that pools select.
    pub(super) fn pod(&self, old: Option<&PodFacts>, new: Option<&PodFacts>) {
        for pod in [old, new].into_iter().flatten() {
            if let Some(strategy) = pod.strategy() {
                self.named(&pod.namespace, strategy);
            }
        }
        let Some(pod) = new.or(old) else { return };
        let selected = |pool: &Pool| [old, new].into_iter().flatten().any(|pod| pool.selects(&pod.labels));
        if self.cache.pools_of(&pod.namespace).iter().any(|pool| selected(pool)) {
            self.namespace(&pod.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::runtime::reflector::store::Writer;
    use serde_json::json;

    use super::*;

    fn strategy(name: &str, namespace: &str) -> RoutingStrategy {
        serde_json::from_value(json!({
            "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"pools": [{"name": "qwen"}]},
        }))
        .unwrap()
    }

    fn triggers() -> (Triggers, Requests) {
        let cache = Cache::new(Writer::<RoutingStrategy>::default().as_reader());
        for (name, namespace) in [("chat", "llm"), ("code", "llm"), ("other", "else")] {
            cache.strategies.insert(namespace, name, Arc::new(strategy(name, namespace)));
        }
        Triggers::new(cache)
    }

    fn asked(requests: &mut Requests) -> Vec<String> {
        let mut names = Vec::new();
        while let Ok(request) = requests.try_recv() {
            names.push(request.name);
        }
        names.sort();
        names.dedup();
        names
    }

    #[test]
    fn a_claim_concerns_its_namespace() {
        let (triggers, mut requests) = triggers();
        let old = strategy("chat", "llm");
        let mut new = old.clone();
        new.metadata.generation = Some(2);
        triggers.strategy(Some(&old), Some(&new));
        assert_eq!(asked(&mut requests), ["chat"]);
        new.spec.pools.clear();
        triggers.strategy(Some(&old), Some(&new));
        assert_eq!(asked(&mut requests), ["chat", "code"]);
    }

    #[test]
    fn a_status_of_a_pool_concerns_nobody() {
        let (triggers, mut requests) = triggers();
        let mut old = Pool::default();
        old.metadata.namespace = Some("llm".to_owned());
        let mut new = old.clone();
        new.metadata.resource_version = Some("2".to_owned());
        triggers.pool(Some(&old), Some(&new));
        assert_eq!(asked(&mut requests), Vec::<String>::new());
        new.selector.insert("app".to_owned(), "vllm".to_owned());
        triggers.pool(Some(&old), Some(&new));
        assert_eq!(asked(&mut requests), ["chat", "code"]);
    }

    #[test]
    fn an_object_concerns_its_strategy_and_when_gone_all_of_the_namespace() {
        let (triggers, mut requests) = triggers();
        let object: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "qwen-picker", "namespace": "llm", "labels": {names::STRATEGY: "code"}},
        }))
        .unwrap();
        triggers.owned(None, Some(&object));
        assert_eq!(asked(&mut requests), ["code"]);
        triggers.owned(Some(&object), None);
        assert_eq!(asked(&mut requests), ["chat", "code"]);
    }

    #[test]
    fn an_object_of_the_cluster_says_whose_it_is() {
        let (triggers, mut requests) = triggers();
        let labels = json!({names::STRATEGY: "code", names::NAMESPACE: "llm"});
        let object: DynamicObject =
            serde_json::from_value(json!({"metadata": {"name": "waypost:llm:code", "labels": labels}}))
                .unwrap();
        triggers.owned(None, Some(&object));
        assert_eq!(requests.try_recv().unwrap(), ObjectRef::new("code").within("llm"));
        triggers.owned(Some(&object), None);
        assert_eq!(asked(&mut requests), ["chat", "code"]);
    }

    #[test]
    fn a_pod_concerns_those_whose_pools_select_it() {
        let (triggers, mut requests) = triggers();
        let pod = PodFacts {
            name: "vllm-0".to_owned(),
            namespace: "llm".to_owned(),
            labels: [("app".to_owned(), "vllm".to_owned())].into(),
            replica_set: None,
            ready: true,
            host: None,
            problem: None,
        };
        triggers.pod(None, Some(&pod));
        assert_eq!(asked(&mut requests), Vec::<String>::new());
        let pool = Pool { selector: pod.labels.clone(), ..Pool::default() };
        triggers.cache.pools[&pool.group].insert("llm", "qwen", Arc::new(pool));
        triggers.pod(None, Some(&pod));
        assert_eq!(asked(&mut requests), ["chat", "code"]);
    }
}
