//! The watch of an InferencePool: the selector of its pods, and their ports.

use crds::{InferencePool, InferencePoolV1Alpha2, PoolGroup};
use kube::api::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client};
use kube_ext::object_parts::RawObject;
use smallvec::SmallVec;
use tokio::sync::watch;

use super::events::Events;
use crate::metrics::Metrics;

#[cfg(test)]
mod tests;

/// The most ports that a pool may have.
pub const MOST_PORTS: usize = 8;

/// The pods that are endpoints, and their ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// Label selector of the pods, as the API server takes it.
    pub selector: String,
    /// The ports of each pod that serve; each is an endpoint.
    pub ports: SmallVec<[u16; MOST_PORTS]>,
}

/// The state of a pool, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PoolState {
    /// Nothing yet: the API server hasn't answered.
    #[default]
    Unknown,
    /// There is none of this name, or it is not one that can be read: no endpoints.
    Absent,
    /// It is there.
    Present(Members),
}

/// A pool by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRef {
    /// Its API group, and with it the version.
    pub group: PoolGroup,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Members {
    /// Those of `pool`.
    ///
    /// # Errors
    /// The field that the pool lacks.
    fn of(pool: &crds::Pool) -> Result<Self, String> {
        let selector: Vec<String> =
            pool.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let ports: SmallVec<_> =
            pool.target_ports.iter().copied().filter(|port| *port > 0).take(MOST_PORTS).collect();
        match (selector.is_empty(), ports.is_empty()) {
            (true, _) => Err("its selector has no labels".to_owned()),
            (_, true) => Err("it has no target port".to_owned()),
            _ => Ok(Self { selector: selector.join(","), ports }),
        }
    }
}

impl PoolRef {
    fn resource(&self) -> ApiResource {
        match self.group {
            PoolGroup::V1 => ApiResource::erase::<InferencePool>(&()),
            PoolGroup::V1Alpha2 => ApiResource::erase::<InferencePoolV1Alpha2>(&()),
        }
    }

    /// Reads `object`. One that can't be read is a pool without endpoints, not a watch that fails.
    fn read(&self, object: RawObject) -> PoolState {
        let RawObject { metadata, spec, .. } = object;
        let pool = match self.group {
            PoolGroup::V1 => spec.read().map(|spec| crds::Pool::from(&InferencePool { metadata, spec })),
            PoolGroup::V1Alpha2 => {
                spec.read().map(|spec| crds::Pool::from(&InferencePoolV1Alpha2 { metadata, spec }))
            }
        };
        match pool.and_then(|pool| Members::of(&pool)) {
            Ok(members) => PoolState::Present(members),
            Err(error) => {
                tracing::warn!(
                    namespace = self.namespace,
                    pool = self.name,
                    error,
                    "the InferencePool can't be used"
                );
                PoolState::Absent
            }
        }
    }

    /// The state after `event`, if it tells one. `listed` is what the list under way has shown so far.
    fn next_state(&self, event: watcher::Event<RawObject>, listed: &mut PoolState) -> Option<PoolState> {
        match event {
            watcher::Event::Init => {
                *listed = PoolState::Absent;
                None
            }
            watcher::Event::InitApply(object) => {
                *listed = self.read(object);
                None
            }
            watcher::Event::InitDone => Some(listed.clone()),
            watcher::Event::Apply(object) => Some(self.read(object)),
            watcher::Event::Delete(_) => Some(PoolState::Absent),
        }
    }
}

/// Watches the pool and tells its state, until the receivers are gone.
pub async fn run(client: Client, pool: PoolRef, metrics: &Metrics, state: watch::Sender<PoolState>) {
    let api: Api<RawObject> = Api::namespaced_with(client, &pool.namespace, &pool.resource());
    let only = watcher::Config::default().fields(&format!("metadata.name={}", pool.name));
    let mut events = Events::of(api, only, metrics, "pool");
    let mut listed = PoolState::Absent;
    while !state.is_closed() {
        let event = events.next().await;
        if let Some(new) = pool.next_state(event, &mut listed) {
            tell(&pool, &state, new);
        }
    }
}

fn tell(pool: &PoolRef, state: &watch::Sender<PoolState>, new: PoolState) {
    state.send_if_modified(|old| {
        if *old == new {
            return false;
        }
        match &new {
            PoolState::Present(members) => {
                tracing::info!(selector = members.selector, ports = ?members.ports, "the pool's endpoints");
            }
            _ => tracing::warn!(namespace = pool.namespace, pool = pool.name, "no usable InferencePool"),
        }
        *old = new;
        true
    });
}
