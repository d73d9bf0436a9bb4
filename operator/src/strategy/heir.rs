//! The heir of a pool: the strategy that drives it next when this one lets it go. Pools and pickers pass to it as they are,
//! without a way back through the pool's former picker. Pure.

use crds::{Binding, Pool, RoutingStrategy};

use super::claims::claims;
use super::snapshot::Snapshot;
use crate::names;

/// The strategy to which `pool` passes; `None` where there is none that would take it. Of several the oldest, as
/// always.
pub(super) fn heir<'a>(snapshot: &'a Snapshot, pool: &Pool) -> Option<&'a RoutingStrategy> {
    let others = snapshot.others.iter().map(|other| &**other);
    let live = others.filter(|other| other.metadata.deletion_timestamp.is_none() && claims(other, pool));
    let age = |strategy: &RoutingStrategy| {
        (strategy.metadata.creation_timestamp.clone(), strategy.metadata.name.clone())
    };
    let next = live.min_by_key(|other| age(other))?;
    // One that observes takes no pool, one that is paused nothing, and one whose routing is wrong has none to serve.
    let takes = next.spec.binding != Binding::Observe && !next.spec.paused.workload && !is_refused(next);
    takes.then_some(next)
}

/// The pool of the pickers called `picker` that passes to another strategy.
pub(super) fn passing<'a>(snapshot: &'a Snapshot, picker: &str) -> Option<&'a Pool> {
    let pools =
        snapshot.pools.iter().map(|pool| &**pool).filter(|pool| pool.metadata.deletion_timestamp.is_none());
    let mut of_picker = pools.filter(|pool| names::picker(pool.group, pool.name()) == picker);
    of_picker.find(|pool| heir(snapshot, pool).is_some())
}

/// What the time is counted by for which the heir of `pool` may take to have it.
pub(super) fn handover(snapshot: &Snapshot, pool: &Pool) -> String {
    format!("{}/{}", snapshot.uid(), pool.uid())
}

/// Whether the present routing of a strategy is known to be wrong.
fn is_refused(strategy: &RoutingStrategy) -> bool {
    let conditions = strategy.status.iter().flat_map(|status| &status.conditions);
    let mut accepted = conditions.filter(|condition| condition.type_ == "Accepted");
    accepted.any(|condition| {
        condition.status == "False" && condition.observed_generation == strategy.metadata.generation
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::testing::{pool, snapshot, strategy};

    fn other(name: &str, created: &str, spec: Value) -> RoutingStrategy {
        let mut other = strategy(spec);
        other.metadata.name = Some(name.to_owned());
        other.metadata.uid = Some(format!("uid-{name}"));
        other.metadata.creation_timestamp = serde_json::from_value(json!(created)).unwrap();
        other
    }

    fn next(others: Vec<RoutingStrategy>) -> Option<String> {
        let mut world = snapshot();
        world.others = others.into_iter().map(Arc::new).collect();
        heir(&world, &pool("qwen", "qwen-picker")).and_then(|heir| heir.metadata.name.clone())
    }

    #[test]
    fn the_oldest_that_claims_it_has_it_next() {
        let claim = json!({"pools": [{"name": "qwen"}]});
        let first = other("first", "2026-01-03T00:00:00Z", claim.clone());
        let second = other("second", "2026-01-04T00:00:00Z", claim);
        assert_eq!(next(vec![]), None);
        assert_eq!(next(vec![second.clone(), first.clone()]), Some("first".to_owned()));
        let mut going = first;
        going.metadata.deletion_timestamp = second.metadata.creation_timestamp.clone();
        assert_eq!(next(vec![second, going]), Some("second".to_owned()));
        assert_eq!(next(vec![other("x", "2026-01-03T00:00:00Z", json!({"pools": [{"name": "phi"}]}))]), None);
    }

    #[test]
    fn one_that_can_not_take_it_is_none() {
        let spec = |binding: &str| json!({"pools": [{"name": "qwen"}], "binding": binding});
        let at = "2026-01-03T00:00:00Z";
        assert_eq!(next(vec![other("x", at, spec("Observe"))]), None);
        assert_eq!(next(vec![other("x", at, spec("Cooperative"))]), Some("x".to_owned()));
        let paused = |paused: Value| json!({"pools": [{"name": "qwen"}], "paused": paused});
        assert_eq!(next(vec![other("x", at, paused(json!(true)))]), None);
        assert_eq!(next(vec![other("x", at, paused(json!({"routing": true})))]), Some("x".to_owned()));
        // The pool is its still, so that no other one has it either.
        let later = other("later", "2026-01-04T00:00:00Z", spec("Takeover"));
        assert_eq!(next(vec![other("x", at, paused(json!(true))), later]), None);
        let refused = |generation: i64| {
            let mut refused = other("x", at, spec("Takeover"));
            let condition = json!({"type": "Accepted", "status": "False", "reason": "InvalidRouting", "message": "",
                "observedGeneration": generation, "lastTransitionTime": at});
            refused.status.get_or_insert_default().conditions =
                vec![serde_json::from_value(condition).unwrap()];
            refused
        };
        assert_eq!(next(vec![refused(7)]), None);
        // It was corrected meanwhile.
        assert_eq!(next(vec![refused(6)]), Some("x".to_owned()));
    }
}
