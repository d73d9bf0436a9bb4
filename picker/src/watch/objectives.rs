//! The InferenceObjectives of a pool: priorities of requests, by the name that these bring in a header.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use crds::{InferenceObjectiveSpec, ObjectiveGroup};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use kube_ext::object_parts::RawObject;
use picker_core::request::{Headers, header};

use super::events::Events;
use super::pool::PoolRef;
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// Priorities by name of the objective. One value is never changed, only replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Priorities(HashMap<Box<str>, i32>);

/// The priorities at the moment.
pub type SharedPriorities = Arc<ArcSwap<Priorities>>;

impl Priorities {
    /// The priority of a request with these headers: that of the objective that it names, 0 without one.
    pub fn of(&self, headers: &Headers) -> i32 {
        if self.0.is_empty() {
            return 0;
        }
        let name = header::OBJECTIVE.iter().find_map(|name| headers.text(name));
        name.and_then(|name| self.0.get(name)).copied().unwrap_or(0)
    }
}

/// The objectives of one API group.
#[derive(Debug, Default)]
struct Known {
    by_name: BTreeMap<String, i32>,
    /// What the list under way has shown so far.
    listed: BTreeMap<String, i32>,
}

impl Known {
    /// Takes note of `event`; whether anything is different now.
    fn learn(&mut self, pool: &PoolRef, event: Event<RawObject>) -> bool {
        match event {
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(object) => {
                self.listed.extend(read(pool, &object));
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                std::mem::replace(&mut self.by_name, listed.clone()) != listed
            }
            Event::Apply(object) => match read(pool, &object) {
                Some((name, priority)) => self.by_name.insert(name, priority) != Some(priority),
                None => self.forget(&object),
            },
            Event::Delete(object) => self.forget(&object),
        }
    }

    fn forget(&mut self, object: &RawObject) -> bool {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        self.by_name.remove(name).is_some()
    }
}

/// Name and priority of an objective, if it is one of the pool that can be read.
fn read(pool: &PoolRef, object: &RawObject) -> Option<(String, i32)> {
    let name = object.metadata.name.clone()?;
    match object.spec.read::<InferenceObjectiveSpec>() {
        Ok(spec) => spec.is_for(pool.group, &pool.name).then(|| (name, spec.priority())),
        Err(error) => {
            tracing::warn!(
                namespace = pool.namespace,
                objective = name,
                error,
                "the InferenceObjective can't be used"
            );
            None
        }
    }
}

/// The priorities of both groups. Of two objectives of one name, that of the newer group counts.
fn both(newer: &Known, older: &Known) -> Priorities {
    let all = older.by_name.iter().chain(&newer.by_name);
    Priorities(all.map(|(name, priority)| (name.as_str().into(), *priority)).collect())
}

/// Watches the objectives of `pool`, in the groups that are installed, and keeps `priorities` up to date.
pub async fn run(client: Client, pool: PoolRef, metrics: &Metrics, priorities: SharedPriorities) {
    let events = |group: ObjectiveGroup, name| {
        let api: Api<RawObject> = Api::namespaced_with(client.clone(), &pool.namespace, &group.resource());
        Events::of_optional(api, watcher::Config::default(), metrics, name)
    };
    let [newer, older] = ObjectiveGroup::ALL;
    let mut newer_events = events(newer, "objectives");
    let mut older_events = events(older, "objectives-x-k8s");
    let (mut newer, mut older) = (Known::default(), Known::default());
    loop {
        let changed = tokio::select! {
            event = newer_events.next() => newer.learn(&pool, event),
            event = older_events.next() => older.learn(&pool, event),
        };
        if changed {
            let now = both(&newer, &older);
            tracing::info!(objectives = now.0.len(), "the pool's InferenceObjectives");
            priorities.store(Arc::new(now));
        }
    }
}
