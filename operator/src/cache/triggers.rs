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
mod tests;
