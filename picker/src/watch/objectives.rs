//! The InferenceObjectives of a pool: priorities of requests, by the name that these bring in a header.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use crds::{InferenceObjectiveSpec, ObjectiveGroup};
use kube::runtime::watcher;
use kube::{Api, Client};
use kube_ext::object_parts::RawObject;
use picker_core::request::{Headers, header};

use super::events::Events;
use super::pool::PoolRef;
use super::pool_objects::Known;
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// Priorities by name of the objective. One value is never changed, only replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Priorities(HashMap<Box<str>, i32>);

/// The priorities at the moment.
pub type SharedPriorities = Arc<ArcSwap<Priorities>>;

impl Priorities {
    /// The priority of the objective that a request with these headers names; `None` when it names none that there is.
    pub fn of(&self, headers: &Headers) -> Option<i32> {
        self.named(headers).map(|(_, priority)| priority)
    }

    /// The objective that a request with these headers names, if the pool has one of that name.
    pub fn objective(&self, headers: &Headers) -> Option<&str> {
        self.named(headers).map(|(name, _)| name)
    }

    fn named(&self, headers: &Headers) -> Option<(&str, i32)> {
        if self.0.is_empty() {
            return None;
        }
        let name = header::OBJECTIVE.iter().find_map(|name| headers.text(name));
        let (name, priority) = name.and_then(|name| self.0.get_key_value(name))?;
        Some((name, *priority))
    }
}

impl<'a> FromIterator<(&'a str, i32)> for Priorities {
    fn from_iter<T: IntoIterator<Item = (&'a str, i32)>>(objectives: T) -> Self {
        Self(objectives.into_iter().map(|(name, priority)| (name.into(), priority)).collect())
    }
}

/// The objectives of one API group: their priorities.
type Objectives = Known<i32>;

/// The priority of an objective, if it is one of the pool that can be read.
fn read(pool: &PoolRef, object: &RawObject) -> Option<i32> {
    match object.spec.read::<InferenceObjectiveSpec>() {
        Ok(spec) => spec.pool_ref.is_for(pool.group, &pool.name).then(|| spec.priority()),
        Err(error) => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
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
fn both(newer: &Objectives, older: &Objectives) -> Priorities {
    let all = older.by_name.iter().chain(&newer.by_name);
    all.map(|(name, priority)| (name.as_str(), *priority)).collect()
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
    let (mut newer, mut older) = (Objectives::default(), Objectives::default());
    loop {
        let changed = tokio::select! {
            event = newer_events.next() => newer.learn(event, |object| read(&pool, object)),
            event = older_events.next() => older.learn(event, |object| read(&pool, object)),
        };
        if changed {
            let now = both(&newer, &older);
            tracing::info!(objectives = now.0.len(), "the pool's InferenceObjectives");
            priorities.store(Arc::new(now));
        }
    }
}
