//! The time from an edit of a routing until every ready picker serves it, for each strategy.
//!
//! Both ends are seen in the watch of strategies: the new generation, and the condition `Programmed` about it. So it counts
//! what a strategy waits for its turn too.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crds::RoutingStrategy;

/// The edits that are not live yet, and where to tell of those that are.
#[derive(Debug, Default)]
pub struct Edits {
    /// By the UID of the strategy.
    pending: Mutex<HashMap<String, Edit>>,
    /// What became live since it was asked for last: namespace, name, and how long it took.
    live: Mutex<Vec<(String, String, Duration)>>,
}

#[derive(Debug)]
struct Edit {
    generation: i64,
    since: Instant,
}

/// More than this are not kept until somebody asks.
const MOST: usize = 4096;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Edits {
    /// Notes what the watch saw at `now`. The first sight of a strategy is no edit.
    pub(super) fn changed(&self, old: Option<&RoutingStrategy>, new: Option<&RoutingStrategy>, now: Instant) {
        let Some(any) = new.or(old) else { return };
        let uid = any.metadata.uid.clone().unwrap_or_default();
        let (Some(old), Some(new)) = (old, new) else {
            lock(&self.pending).remove(&uid);
            return;
        };
        let generation = new.metadata.generation.unwrap_or_default();
        let mut pending = lock(&self.pending);
        if new.metadata.generation > old.metadata.generation && new.spec.routing != old.spec.routing {
            pending.insert(uid.clone(), Edit { generation, since: now });
        }
        let Some(edit) = pending.get(&uid) else { return };
        let says = |kind: &str, status: &str| says(new, kind, status, edit.generation);
        if says("Accepted", "False") {
            pending.remove(&uid);
        } else if says("Accepted", "True") && says("Programmed", "True") {
            let took = now.duration_since(edit.since);
            pending.remove(&uid);
            let name = |name: &Option<String>| name.clone().unwrap_or_default();
            let mut live = lock(&self.live);
            if live.len() < MOST {
                live.push((name(&new.metadata.namespace), name(&new.metadata.name), took));
            }
        }
    }

    /// What became live since the last call.
    pub fn take(&self) -> Vec<(String, String, Duration)> {
        std::mem::take(&mut lock(&self.live))
    }
}

/// Whether a condition has this status for `generation`, or a later one.
fn says(strategy: &RoutingStrategy, kind: &str, status: &str, generation: i64) -> bool {
    let conditions = strategy.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|condition| condition.type_ == kind && condition.status == status)
        .any(|condition| condition.observed_generation >= Some(generation))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A strategy with a routing of one plugin, and Accepted and Programmed of a generation.
    fn strategy(generation: i64, plugin: &str, said: (&str, &str, i64)) -> RoutingStrategy {
        let (accepted, programmed, about) = said;
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "reason": "X", "message": "", "observedGeneration": about,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        serde_json::from_value(json!({
            "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
            "metadata": {"name": "chat", "namespace": "llm", "uid": "u", "generation": generation},
            "spec": {"pools": [{"name": "qwen"}], "routing": {"plugins": [{"type": plugin}]}},
            "status": {"observedGeneration": about,
                "conditions": [condition("Accepted", accepted), condition("Programmed", programmed)]},
        }))
        .unwrap()
    }

    /// What `sights`, a second apart, come to.
    fn seen(sights: &[RoutingStrategy]) -> Vec<u64> {
        let (edits, start) = (Edits::default(), Instant::now());
        let mut old = None;
        for (second, new) in sights.iter().enumerate() {
            edits.changed(old, Some(new), start + Duration::from_secs(second as u64));
            old = Some(new);
        }
        let live = edits.take();
        assert!(edits.take().is_empty());
        live.into_iter().map(|(_, _, took)| took.as_secs()).collect()
    }

    #[test]
    fn an_edit_is_live_when_all_pickers_serve_it() {
        let (before, true_of) = (strategy(1, "a", ("True", "True", 1)), |g| ("True", "True", g));
        let edited = strategy(2, "b", true_of(1));
        let accepted = strategy(2, "b", ("True", "False", 2));
        let live = strategy(2, "b", true_of(2));
        assert_eq!(seen(&[before.clone(), edited, accepted, live.clone(), live.clone()]), [2]);
        // The first sight, and an edit of something else, are none.
        assert_eq!(seen(std::slice::from_ref(&live)), [0_u64; 0]);
        assert_eq!(seen(&[before.clone(), strategy(2, "a", true_of(2))]), [0_u64; 0]);
        // A wrong one never is, and the next counts from its own time.
        let wrong = [strategy(2, "x", true_of(1)), strategy(2, "x", ("False", "True", 2))];
        let then = [strategy(3, "c", ("False", "True", 2)), strategy(3, "c", true_of(3))];
        assert_eq!(seen(&[[before].as_slice(), &wrong, &then].concat()), [1]);
    }
}
