//! Bounds of what the operator holds for its users: what is kept of their objects, and how much of one namespace.

use std::collections::{BTreeMap, HashMap};

use crds::RoutingStrategy;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use picker_core::config::revision;
use serde_json::{Value, json};
use tracing::warn;

use crate::kinds::Kind;

/// The most that is held of the strategies of one namespace, as they lie in memory, in bytes. Hundreds of usual ones, or four of the largest.
const MOST_OF_A_NAMESPACE: usize = 8 << 20;
/// The most that is held of an object that the operator made.
const MOST_OF_AN_OBJECT: usize = 1 << 20;

/// A value without what it contains: an entry of a map or a list, and what the allocator adds.
const A_VALUE: usize = 112;

/// About how much memory `value` takes, in bytes.
fn weight(value: &Value) -> usize {
    A_VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(fields) => fields.iter().map(|(name, field)| name.len() + weight(field)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// How much of each namespace's strategies is held.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Weights of strategies by namespace and name; of those that are withheld too, as 0.
    held: HashMap<String, BTreeMap<String, usize>>,
}

impl Ledger {
    /// Keeps the ledger in step with `event`, and withholds the routing and the pod template of a strategy for which there
    /// is no room. What its pickers serve stays: a strategy that can't be read changes nothing.
    pub fn admit(&mut self, event: Event<RoutingStrategy>) -> Event<RoutingStrategy> {
        match &event {
            Event::Init => self.held.clear(),
            Event::Delete(strategy) => {
                let (namespace, name) = super::watch::key(&strategy.metadata);
                if let Some(held) = self.held.get_mut(&namespace) {
                    held.remove(&name);
                    if held.is_empty() {
                        self.held.remove(&namespace);
                    }
                }
            }
            Event::InitDone | Event::Apply(_) | Event::InitApply(_) => {}
        }
        match event {
            Event::Apply(strategy) => Event::Apply(self.bounded(strategy)),
            Event::InitApply(strategy) => Event::InitApply(self.bounded(strategy)),
            other => other,
        }
    }

    fn bounded(&mut self, mut strategy: RoutingStrategy) -> RoutingStrategy {
        let (namespace, name) = super::watch::key(&strategy.metadata);
        // What pickers say in the status is not of its author.
        let own = weight(&serde_json::to_value(&strategy.spec).unwrap_or_default())
            + weight(&json!(strategy.metadata.finalizers));
        let held = self.held.entry(namespace.clone()).or_default();
        let others: usize = held.iter().filter(|(other, _)| **other != name).map(|(_, weight)| weight).sum();
        let fits = others + own <= MOST_OF_A_NAMESPACE;
        held.insert(name.clone(), if fits { own } else { 0 });
        if !fits {
            warn!(namespace, name, own, others, "the strategies of this namespace are too large together");
            strategy.spec.withhold(&format!(
                "too large beside the other strategies of the namespace: {own} bytes in memory and {others}, more than \
                 {MOST_OF_A_NAMESPACE} together; make them smaller, and then change this one"
            ));
        }
        strategy
    }
}

/// What of an object that the operator made is held: of a routing in the history its revision, since the pickers alone
/// read the routing, and of an object that others made too large its metadata.
pub(super) fn kept_of(kind: Kind, mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    if kind == Kind::ControllerRevision
        && let Some(data) = object.data.get_mut("data")
    {
        *data = revision_in_cache(data);
    }
    if weight(&object.data) > MOST_OF_AN_OBJECT {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        warn!(name, ?kind, "an object is too large; it counts as empty");
        object.data = json!({});
    }
    object
}

/// What the cache has in the place of `routing` in the history.
pub fn revision_in_cache(routing: &Value) -> Value {
    Value::String(revision(routing))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A strategy whose routing has `bytes` bytes of text.
    fn strategy(namespace: &str, name: &str, bytes: usize) -> RoutingStrategy {
        let mut strategy = RoutingStrategy::default();
        strategy.metadata.namespace = Some(namespace.to_owned());
        strategy.metadata.name = Some(name.to_owned());
        strategy.spec.routing.0 = json!({"plugins": [{"type": "x".repeat(bytes)}]});
        strategy
    }

    /// What is left of the strategy in an event: whether its routing is there, and what it weighs.
    fn admitted(ledger: &mut Ledger, event: Event<RoutingStrategy>) -> bool {
        match ledger.admit(event) {
            Event::Apply(strategy) | Event::InitApply(strategy) => strategy.spec.routing.0.is_object(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_strategies_of_a_namespace_have_so_much_room_together() {
        let (mut ledger, mebibyte) = (Ledger::default(), 1 << 20);
        let apply = |name: &str, bytes| Event::Apply(strategy("llm", name, bytes));
        for n in 0..7 {
            assert!(admitted(&mut ledger, apply(&n.to_string(), mebibyte)), "{n}");
        }
        assert!(!admitted(&mut ledger, apply("7", mebibyte)));
        assert!(admitted(&mut ledger, Event::Apply(strategy("other", "7", mebibyte))));
        // An edit counts once, and what became smaller leaves room.
        assert!(admitted(&mut ledger, apply("0", mebibyte)));
        assert!(admitted(&mut ledger, apply("0", 10)));
        assert!(admitted(&mut ledger, apply("7", mebibyte)));
        assert!(!admitted(&mut ledger, apply("8", mebibyte)));
        // So does what is gone, and a new list counts anew.
        ledger.admit(Event::Delete(strategy("llm", "7", mebibyte)));
        assert!(admitted(&mut ledger, apply("8", mebibyte)));
        ledger.admit(Event::Init);
        assert!(admitted(&mut ledger, Event::InitApply(strategy("llm", "9", 7 * mebibyte))));
    }

    #[test]
    fn what_there_is_no_room_for_says_so() {
        let mut ledger = Ledger::default();
        let Event::Apply(refused) = ledger.admit(Event::Apply(strategy("llm", "chat", 9 << 20))) else {
            panic!()
        };
        let why = refused.spec.routing.0.as_str().unwrap();
        assert!(why.starts_with("too large beside the other strategies of the namespace: 94"), "{why}");
        assert_eq!(crds::strategy::unreadable(&refused.spec.picker.pod_template), Some(why));
    }

    #[test]
    fn of_the_history_revisions_are_kept_and_of_large_objects_their_names() {
        let object = |data: Value| -> DynamicObject {
            let mut object = json!({"metadata": {"name": "a", "namespace": "llm"}});
            object.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
            serde_json::from_value(object).unwrap()
        };
        let routing = json!({"plugins": []});
        let slot = object(json!({"revision": 3, "data": routing}));
        assert_eq!(
            kept_of(Kind::ControllerRevision, slot).data,
            json!({"revision": 3, "data": revision(&routing)})
        );
        let small = json!({"spec": {"replicas": 2}});
        assert_eq!(kept_of(Kind::Deployment, object(small.clone())).data, small);
        let large = object(json!({"spec": {"x": "y".repeat(1 << 20)}}));
        let kept = kept_of(Kind::Deployment, large);
        assert_eq!((kept.metadata.name.as_deref(), kept.data), (Some("a"), json!({})));
    }
}
