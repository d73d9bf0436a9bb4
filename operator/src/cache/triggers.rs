//! Triggers of reconciles: which strategies a change in the cluster concerns.

use std::sync::Arc;

use crds::{Pool, RoutingStrategy};
use tokio::sync::mpsc;

use super::object::HeldObject;
use super::pods::PodFacts;
use super::slices::SliceFacts;
use super::store::Cache;
use crate::kinds::Kind;
use crate::names;
use crate::queue::{Lane, Request, StrategyKey};

/// The requests for reconciles.
pub type Requests = mpsc::UnboundedReceiver<Request>;

/// The sender of reconcile requests. A strategy that is asked for twice is reconciled once: the queue behind it holds
/// each at most one time.
///
/// A change asks for the strategies that it concerns, and not for all of its namespace: with many strategies there, each
/// of them changing, that would be as many reconciles as their square.
#[derive(Clone, Debug)]
pub struct Triggers {
    cache: Cache,
    queue: mpsc::UnboundedSender<Request>,
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
            self.one(&strategy, Lane::Usual);
        }
    }

    /// Asks for the strategy called `name`.
    pub fn named(&self, namespace: &str, name: &str) {
        self.send(StrategyKey { namespace: namespace.to_owned(), name: name.to_owned() }, Lane::Usual);
    }

    fn one(&self, strategy: &RoutingStrategy, lane: Lane) {
        self.send(StrategyKey::of(&strategy.metadata), lane);
    }

    fn send(&self, strategy: StrategyKey, lane: Lane) {
        // Fails only when the program ends.
        let _ = self.queue.send(Request { strategy, lane });
    }

    /// A strategy changed: its claims concern the strategies that claim a pool which it claims, or did.
    pub(super) fn strategy(&self, old: Option<&RoutingStrategy>, new: Option<&RoutingStrategy>) {
        let claims = |s: &RoutingStrategy| (s.spec.pools.clone(), s.metadata.deletion_timestamp.is_some());
        let Some(any) = new.or(old) else { return };
        if old.map(claims) != new.map(claims) {
            let namespace = any.metadata.namespace.as_deref().unwrap_or_default();
            let mut pools = self.cache.pools_of(namespace);
            pools.retain(|pool| [old, new].into_iter().flatten().any(|s| s.spec.claims(pool)));
            self.claimants(namespace, &pools);
        }
        if let Some(new) = new {
            // Somebody waits for the first word about a generation, and for that of pickers.
            let told = new.status.as_ref().map(|status| status.observed_generation);
            let said = |s: &RoutingStrategy| s.status.clone().unwrap_or_default().pickers;
            let news = told != new.metadata.generation || old.is_some_and(|old| said(old) != said(new));
            // What is being deleted is told nothing new, and there may be hundreds.
            let urgent = news && new.metadata.deletion_timestamp.is_none();
            self.one(new, if urgent { Lane::Urgent } else { Lane::Usual });
        }
    }

    /// Asks for the strategies that claim one of `pools`.
    fn claimants(&self, namespace: &str, pools: &[Arc<Pool>]) {
        if pools.is_empty() {
            return;
        }
        for strategy in self.cache.strategies.within(namespace) {
            if pools.iter().any(|pool| strategy.spec.claims(pool)) {
                self.one(&strategy, Lane::Usual);
            }
        }
    }

    /// An object of the operator changed. One that is gone may have stood in another strategy's way: that of a pool
    /// whose picker has its name, or that in whose history it was.
    pub(super) fn owned(&self, old: Option<&HeldObject>, new: Option<&HeldObject>) {
        for object in [old, new].into_iter().flatten() {
            if let Some(strategy) = &object.strategy {
                self.named(&object.of_namespace, strategy);
            }
        }
        let (Some(gone), None) = (old, new) else { return };
        let mut pools = self.cache.pools_of(&gone.namespace);
        pools.retain(|pool| names::picker(pool.group, pool.name()) == gone.name);
        self.claimants(&gone.namespace, &pools);
        if let Some(strategy) = crds::history::strategy_of(&gone.name) {
            self.named(&gone.namespace, strategy);
        }
    }

    /// A pool changed in a way that matters, which its status does not: it concerns the strategies that claim it, or did, and the
    /// one that has it, or has pickers for it.
    pub(super) fn pool(&self, old: Option<&Pool>, new: Option<&Pool>) {
        let matters = |pool: &Pool| {
            let mut pool = pool.clone();
            pool.metadata.resource_version = None;
            pool.metadata.managed_fields = None;
            pool.metadata.generation = None;
            pool
        };
        if old.map(matters) == new.map(matters) {
            return;
        }
        let states: Vec<Arc<Pool>> = [old, new].into_iter().flatten().cloned().map(Arc::new).collect();
        let Some(any) = states.first() else { return };
        self.claimants(any.namespace(), &states);
        for pool in &states {
            if let Some(holder) = pool.annotation(names::PREVIOUS_PICKER).and_then(names::holder) {
                self.named(any.namespace(), &holder);
            }
        }
        let picker = names::picker(any.group, any.name());
        for index in self.cache.owned.values() {
            let object = index.get(any.namespace(), &picker);
            if let Some(strategy) = object.as_ref().and_then(|object| object.strategy.as_ref()) {
                self.named(any.namespace(), strategy);
            }
        }
    }

    /// A pod changed: a picker, or a model server that pools select.
    pub(super) fn pod(&self, old: Option<&PodFacts>, new: Option<&PodFacts>) {
        for pod in [old, new].into_iter().flatten().filter(|pod| pod.is_picker()) {
            // That of its Deployment, which may have passed from one strategy to another.
            let deployments = self.cache.owned.get(&Kind::Deployment);
            let deployment =
                deployments.zip(pod.deployment()).and_then(|(all, name)| all.get(&pod.namespace, name));
            let owner = deployment.as_ref().and_then(|deployment| deployment.strategy.as_ref());
            if let Some(strategy) = owner.or_else(|| pod.labels.get(names::STRATEGY)) {
                self.named(&pod.namespace, strategy);
            }
        }
        let Some(pod) = new.or(old) else { return };
        let mut pools = self.cache.pools_of(&pod.namespace);
        pools.retain(|pool| [old, new].into_iter().flatten().any(|pod| pool.selects(&pod.labels)));
        self.claimants(&pod.namespace, &pools);
    }

    /// The addresses of a Service of the operator changed.
    pub(super) fn slice(&self, old: Option<&SliceFacts>, new: Option<&SliceFacts>) {
        if old.map(|slice| slice.ready) != new.map(|slice| slice.ready)
            && let Some(slice) = new.or(old)
            && let Some(strategy) = &slice.strategy
        {
            self.named(&slice.namespace, strategy);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn strategy(name: &str, namespace: &str) -> RoutingStrategy {
        serde_json::from_value(json!({
            "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"pools": [{"name": "qwen"}]},
        }))
        .unwrap()
    }

    /// Strategies chat and code, which claim the pools qwen and llama, and another beside them.
    fn triggers() -> (Triggers, Requests) {
        let cache = Cache::default();
        for (name, namespace) in [("chat", "llm"), ("code", "llm"), ("other", "else")] {
            cache.strategies.insert(namespace, name, Arc::new(strategy(name, namespace)));
        }
        cache.strategies.insert("llm", "third", Arc::new(claiming("third", "llama")));
        for name in ["qwen", "llama"] {
            let pool = pool(name);
            cache.pools[&pool.group].insert("llm", name, Arc::new(pool));
        }
        Triggers::new(cache)
    }

    fn claiming(name: &str, pool: &str) -> RoutingStrategy {
        let mut strategy = strategy(name, "llm");
        strategy.spec.pools[0].name = Some(pool.to_owned());
        strategy
    }

    fn pool(name: &str) -> Pool {
        let mut pool = Pool::default();
        pool.metadata.namespace = Some("llm".to_owned());
        pool.metadata.name = Some(name.to_owned());
        pool.selector.insert("app".to_owned(), name.to_owned());
        pool
    }

    fn asked(requests: &mut Requests) -> Vec<String> {
        let mut names: Vec<_> = all_asked(requests).into_iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        names
    }

    fn all_asked(requests: &mut Requests) -> Vec<(String, Lane)> {
        std::iter::from_fn(|| requests.try_recv().ok())
            .map(|request| (request.strategy.name, request.lane))
            .collect()
    }

    #[test]
    fn a_claim_concerns_those_who_claim_the_same() {
        let (triggers, mut requests) = triggers();
        let old = strategy("chat", "llm");
        let mut new = old.clone();
        new.metadata.generation = Some(2);
        triggers.strategy(Some(&old), Some(&new));
        assert_eq!(asked(&mut requests), ["chat"]);
        new.spec.pools.clear();
        triggers.strategy(Some(&old), Some(&new));
        assert_eq!(asked(&mut requests), ["chat", "code"]);
        triggers.strategy(None, Some(&claiming("fourth", "llama")));
        assert_eq!(asked(&mut requests), ["fourth", "third"]);
        triggers.strategy(Some(&claiming("fourth", "none")), None);
        assert_eq!(asked(&mut requests), Vec::<String>::new());
    }

    #[test]
    fn an_edit_and_the_word_of_a_picker_are_urgent() {
        let (triggers, mut requests) = triggers();
        let old = strategy("chat", "llm");
        let lane = |change: fn(&mut RoutingStrategy), requests: &mut Requests| {
            let mut new = old.clone();
            change(&mut new);
            triggers.strategy(Some(&old), Some(&new));
            all_asked(requests)
        };
        let one = |lane| vec![("chat".to_owned(), lane)];
        assert_eq!(lane(|new| new.metadata.generation = Some(9), &mut requests), one(Lane::Urgent));
        let goes = |new: &mut RoutingStrategy| {
            new.metadata.generation = Some(9);
            new.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        };
        assert!(lane(goes, &mut requests).iter().all(|(_, lane)| *lane == Lane::Usual));
        let says = |new: &mut RoutingStrategy| {
            let pickers = &mut new.status.get_or_insert_default().pickers;
            pickers.insert("pod".to_owned(), Default::default());
        };
        assert_eq!(lane(says, &mut requests), one(Lane::Urgent));
        let own = |new: &mut RoutingStrategy| new.status.get_or_insert_default().observed_generation = 9;
        // Our own word is none.
        let mut told = old.clone();
        told.metadata.generation = Some(9);
        let mut again = told.clone();
        own(&mut again);
        triggers.strategy(Some(&told), Some(&again));
        assert_eq!(all_asked(&mut requests), one(Lane::Usual));
        triggers.strategy(None, Some(&old));
        assert!(all_asked(&mut requests).iter().all(|(_, lane)| *lane == Lane::Usual));
    }

    #[test]
    fn a_status_of_a_pool_concerns_nobody() {
        let (triggers, mut requests) = triggers();
        let old = pool("qwen");
        let mut new = old.clone();
        new.metadata.resource_version = Some("2".to_owned());
        triggers.pool(Some(&old), Some(&new));
        assert_eq!(asked(&mut requests), Vec::<String>::new());
        new.selector.insert("app".to_owned(), "vllm".to_owned());
        triggers.pool(Some(&old), Some(&new));
        assert_eq!(asked(&mut requests), ["chat", "code"]);
    }

    /// Whoever has a pool gives it back, also when it claims it no more.
    #[test]
    fn a_pool_concerns_who_has_it_and_who_has_pickers_for_it() {
        let (triggers, mut requests) = triggers();
        let mut held = pool("qwen");
        let record = r#"{"strategy": "former", "applied": null}"#.to_owned();
        held.metadata.annotations = Some([(names::PREVIOUS_PICKER.to_owned(), record)].into());
        triggers.pool(Some(&pool("qwen")), Some(&held));
        assert_eq!(asked(&mut requests), ["chat", "code", "former"]);
        let service = object("qwen-picker", json!({names::STRATEGY: "maker"}));
        triggers.cache.owned[&Kind::Service].insert("llm", "qwen-picker", Arc::new(service));
        triggers.pool(Some(&held), None);
        assert_eq!(asked(&mut requests), ["chat", "code", "former", "maker"]);
    }

    fn object(name: &str, labels: Value) -> HeldObject {
        held(json!({"name": name, "namespace": "llm", "labels": labels}))
    }

    fn held(metadata: Value) -> HeldObject {
        HeldObject::from(&serde_json::from_value(json!({"metadata": metadata})).unwrap())
    }

    #[test]
    fn an_object_concerns_its_strategy_and_when_gone_those_in_whose_way_it_was() {
        let (triggers, mut requests) = triggers();
        let picker = object("qwen-picker", json!({names::STRATEGY: "maker"}));
        triggers.owned(None, Some(&picker));
        assert_eq!(asked(&mut requests), ["maker"]);
        triggers.owned(Some(&picker), None);
        assert_eq!(asked(&mut requests), ["chat", "code", "maker"]);
        triggers.owned(Some(&object("chat-routing-3", json!({names::STRATEGY: "maker"}))), None);
        assert_eq!(asked(&mut requests), ["chat", "maker"]);
        // Whose object it is may change too.
        triggers.owned(Some(&picker), Some(&object("qwen-picker", json!({names::STRATEGY: "code"}))));
        assert_eq!(asked(&mut requests), ["code", "maker"]);
    }

    #[test]
    fn an_object_of_the_cluster_says_whose_it_is() {
        let (triggers, mut requests) = triggers();
        let labels = json!({names::STRATEGY: "code", names::NAMESPACE: "llm"});
        let object = held(json!({"name": "waypost:llm:code", "labels": labels}));
        for (old, new) in [(None, Some(&object)), (Some(&object), None)] {
            triggers.owned(old, new);
            let strategy = StrategyKey { namespace: "llm".to_owned(), name: "code".to_owned() };
            assert_eq!(requests.try_recv().unwrap(), Request { strategy, lane: Lane::Usual });
        }
    }

    #[test]
    fn a_pod_concerns_those_whose_pools_select_it() {
        let (triggers, mut requests) = triggers();
        let mut pod = PodFacts {
            name: "vllm-0".to_owned(),
            namespace: "llm".to_owned(),
            labels: [("app".to_owned(), "vllm".to_owned())].into(),
            ready: true,
            ..PodFacts::default()
        };
        triggers.pod(None, Some(&pod));
        assert_eq!(asked(&mut requests), Vec::<String>::new());
        pod.labels.insert("app".to_owned(), "llama".to_owned());
        triggers.pod(None, Some(&pod));
        assert_eq!(asked(&mut requests), ["third"]);
    }

    #[test]
    fn addresses_concern_the_strategy_of_their_service_when_they_come_and_go() {
        let (triggers, mut requests) = triggers();
        let slice = |ready| SliceFacts {
            namespace: "llm".to_owned(),
            strategy: Some("code".to_owned()),
            ready,
            ..SliceFacts::default()
        };
        triggers.slice(None, Some(&slice(false)));
        assert_eq!(asked(&mut requests), ["code"]);
        triggers.slice(Some(&slice(false)), Some(&slice(false)));
        assert_eq!(asked(&mut requests), Vec::<String>::new());
        triggers.slice(Some(&slice(false)), Some(&slice(true)));
        assert_eq!(asked(&mut requests), ["code"]);
    }
}
