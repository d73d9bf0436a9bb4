//! The start of the watch of every kind.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use crds::{InferencePool, InferencePoolV1Alpha2, Pool, PoolGroup, RoutingStrategy};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::NamespaceResourceScope;
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource};
use kube_ext::optional_kind::{by_name, definitions, follow_definition, follow_discovery, while_installed};
use kube_ext::partial_object::{PartialObject, readable};
use kube_ext::read_partial::ReadPartial;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::held::Room;
use super::index::Index;
use super::merged::merged;
use super::object::HeldObject;
use super::pods::PodFacts;
use super::read::{PoolKind, PoolOf};
use super::slices::SliceFacts;
use super::store::Cache;
use super::triggers::Triggers;
use super::watch::{events, follow, key, mapped, paged_events};
use crate::kinds::{self, Kind};
use crate::names;

/// How many strategies a page of their list has.
const STRATEGIES_PER_PAGE: u32 = 32;
/// How many objects of other kinds a page of their list has. As they come, they take much more memory than what is kept.
const OBJECTS_PER_PAGE: u32 = 100;

/// What of the cluster the operator watches.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The namespaces; none: all.
    pub namespaces: Vec<String>,
    /// Whether it may look at what is in no namespace. Without that, what is installed is found out by discovery, and
    /// nothing of the cluster is made.
    pub of_cluster: bool,
}

impl Scope {
    /// One API for each namespace, or one for all of them.
    fn apis<K>(&self, client: &Client) -> Vec<Api<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        if self.namespaces.is_empty() {
            return vec![Api::all(client.clone())];
        }
        self.namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    }

    fn dynamic(&self, client: &Client, kind: Kind) -> Vec<Api<PartialObject<DynamicObject>>> {
        let resource = kind.resource();
        if self.namespaces.is_empty() || kind.scope() == kinds::Scope::Cluster {
            return vec![Api::all_with(client.clone(), &resource)];
        }
        let of = |namespace: &String| Api::namespaced_with(client.clone(), namespace, &resource);
        self.namespaces.iter().map(of).collect()
    }
}

/// Starts the watches of all kinds, which run for ever. The tasks end when the set is dropped.
pub fn run(client: &Client, scope: &Scope, cache: &Cache, triggers: &Triggers) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    strategies(&mut tasks, scope.apis(client), cache, triggers);
    let room = Room::of_objects();
    for kind in Kind::ALL {
        if kind.scope() == kinds::Scope::Cluster && !scope.of_cluster {
            if let Some(index) = cache.owned.get(&kind) {
                index.absent();
            }
            continue;
        }
        let apis = scope.dynamic(client, kind);
        if kind.is_optional() {
            let (installed, is_installed) = watch::channel(None);
            let ApiResource { group, version, plural, .. } = kind.resource();
            let client = client.clone();
            tasks.spawn(look_for(client, scope.of_cluster, group, version, plural, installed));
            optional(&mut tasks, apis, kind, is_installed, &room, cache, triggers);
        } else {
            owned(&mut tasks, apis, kind, &room, cache, triggers);
        }
    }
    pods(&mut tasks, scope.apis(client), cache, triggers);
    slices(&mut tasks, scope.apis(client), cache, triggers);
    for group in PoolGroup::ALL {
        let (installed, is_installed) = watch::channel(None);
        let version = group.api_version().rsplit('/').next().unwrap_or_default().to_owned();
        let (api_group, plural) = (group.group().to_owned(), "inferencepools".to_owned());
        tasks.spawn(look_for(client.clone(), scope.of_cluster, api_group, version, plural, installed));
        match group {
            PoolGroup::V1 => {
                let apis = scope.apis::<PartialObject<PoolOf<InferencePool>>>(client);
                pools(&mut tasks, apis, group, is_installed, cache, triggers);
            }
            PoolGroup::V1Alpha2 => {
                let apis = scope.apis::<PartialObject<PoolOf<InferencePoolV1Alpha2>>>(client);
                pools(&mut tasks, apis, group, is_installed, cache, triggers);
            }
        }
    }
    tasks
}

/// Tells whether the kind called `plural` of `group` is served in `version`, whenever that changes: by the watch of its
/// CustomResourceDefinition, or without rights of the cluster by asking from time to time. `None` until it is known.
async fn look_for(
    client: Client,
    of_cluster: bool,
    group: String,
    version: String,
    plural: String,
    installed: watch::Sender<Option<bool>>,
) {
    if of_cluster {
        let events = readable(events(definitions(client), by_name(&format!("{plural}.{group}"))));
        follow_definition(events, &version, &installed).await;
    } else {
        follow_discovery(client, &format!("{group}/{version}"), &plural, &installed).await;
    }
}

/// The events of a kind in all of `apis`, as those of one watch; lists come a page at a time. `hold` makes for each watch what
/// makes of its events what is held.
fn all_events<V, H, F>(
    apis: Vec<Api<PartialObject<V>>>,
    config: watcher::Config,
    hold: impl Fn() -> F,
    key: impl Fn(&H) -> (String, String) + Send + 'static,
) -> BoxStream<'static, Event<Arc<H>>>
where
    V: ReadPartial + Clone + Send + 'static,
    PartialObject<V>: Resource + Clone + DeserializeOwned + Debug + Send,
    H: Send + Sync + 'static,
    F: FnMut(Event<V>) -> Event<H> + Send + 'static,
{
    let watch = |api| {
        let mut hold = hold();
        readable(paged_events(api, config.clone())).map(move |event| mapped(hold(event), Arc::new)).boxed()
    };
    merged(apis.into_iter().map(watch).collect(), move |object: &Arc<H>| key(object))
}

/// Holds everything as it is read.
fn as_read<V>() -> impl FnMut(Event<V>) -> Event<V> + Send + 'static
where
    V: 'static,
{
    |event| event
}

fn strategies(
    tasks: &mut JoinSet<()>,
    apis: Vec<Api<PartialObject<RoutingStrategy>>>,
    cache: &Cache,
    triggers: &Triggers,
) {
    let (index, edits, orphans) = (cache.strategies.clone(), cache.edits.clone(), cache.orphans.clone());
    let triggers = triggers.clone();
    tasks.spawn(async move {
        let room = Room::of_strategies();
        // A page at a time: a list of strategies may be long, and each of them too.
        let config = watcher::Config::default().page_size(STRATEGIES_PER_PAGE);
        let hold = || {
            let mut share = room.share();
            move |event| share.strategy(event)
        };
        let of_strategy = |strategy: &RoutingStrategy| key(&strategy.metadata);
        let events = all_events(apis, config, hold, of_strategy).inspect(move |event| orphans.note(event));
        let changed = |old: Option<&RoutingStrategy>, new: Option<&RoutingStrategy>| {
            edits.changed(old, new, Instant::now());
            triggers.strategy(old, new);
        };
        follow(events, &index, of_strategy, changed, || {}).await;
    });
}

fn owned(
    tasks: &mut JoinSet<()>,
    apis: Vec<Api<PartialObject<DynamicObject>>>,
    kind: Kind,
    room: &Room,
    cache: &Cache,
    triggers: &Triggers,
) {
    let Some(index) = cache.owned.get(&kind).cloned() else { return };
    let (room, triggers) = (room.clone(), triggers.clone());
    tasks.spawn(async move { follow_owned(apis, kind, &room, &index, &triggers, || {}).await });
}

/// Starts the watch of a kind of the operator's objects that may not be installed, or not yet.
fn optional(
    tasks: &mut JoinSet<()>,
    apis: Vec<Api<PartialObject<DynamicObject>>>,
    kind: Kind,
    installed: watch::Receiver<Option<bool>>,
    room: &Room,
    cache: &Cache,
    triggers: &Triggers,
) {
    let Some(index) = cache.owned.get(&kind).cloned() else { return };
    let (room, triggers) = (room.clone(), triggers.clone());
    tasks.spawn(async move {
        let start = || {
            let (apis, room) = (apis.clone(), room.clone());
            let (index, triggers) = (Arc::clone(&index), triggers.clone());
            async move {
                let is_new = !index.is_listed();
                let listed = || {
                    if is_new {
                        triggers.all();
                    }
                };
                follow_owned(apis, kind, &room, &index, &triggers, listed).await;
            }
        };
        let absent = || {
            index.absent();
            triggers.all();
        };
        while_installed(installed, start, absent).await;
    });
}

async fn follow_owned(
    apis: Vec<Api<PartialObject<DynamicObject>>>,
    kind: Kind,
    room: &Room,
    index: &Index<HeldObject>,
    triggers: &Triggers,
    listed: impl Fn() + Send,
) {
    let config = watcher::Config::default().labels(&of_ours()).page_size(OBJECTS_PER_PAGE);
    let hold = || {
        let mut share = room.share();
        move |event| share.object(kind, event)
    };
    let changed = |old: Option<&HeldObject>, new: Option<&HeldObject>| triggers.owned(old, new);
    let of_object = |object: &HeldObject| (object.namespace.clone(), object.name.clone());
    follow(all_events(apis, config, hold, of_object), index, of_object, changed, listed).await;
}

/// Selects what the operator made, and the EndpointSlices of its Services, which have their labels.
fn of_ours() -> String {
    format!("{}={}", names::MANAGED_BY, names::MANAGED_BY_WAYPOST)
}

fn slices(
    tasks: &mut JoinSet<()>,
    apis: Vec<Api<PartialObject<SliceFacts>>>,
    cache: &Cache,
    triggers: &Triggers,
) {
    let (index, triggers) = (cache.slices.clone(), triggers.clone());
    tasks.spawn(async move {
        let key = |slice: &SliceFacts| (slice.namespace.clone(), slice.name.clone());
        let changed = |old: Option<&SliceFacts>, new: Option<&SliceFacts>| triggers.slice(old, new);
        let config = watcher::Config::default().labels(&of_ours()).page_size(OBJECTS_PER_PAGE);
        follow(all_events(apis, config, as_read, key), &index, key, changed, || {}).await;
    });
}

fn pods(
    tasks: &mut JoinSet<()>,
    apis: Vec<Api<PartialObject<PodFacts>>>,
    cache: &Cache,
    triggers: &Triggers,
) {
    let (index, triggers) = (cache.pods.clone(), triggers.clone());
    tasks.spawn(async move {
        let key = |pod: &PodFacts| (pod.namespace.clone(), pod.name.clone());
        let changed = |old: Option<&PodFacts>, new: Option<&PodFacts>| triggers.pod(old, new);
        // There may be tens of thousands in a cluster.
        let config = watcher::Config::default().page_size(OBJECTS_PER_PAGE);
        follow(all_events(apis, config, as_read, key), &index, key, changed, || {}).await;
    });
}

fn pools<K>(
    tasks: &mut JoinSet<()>,
    apis: Vec<Api<PartialObject<PoolOf<K>>>>,
    group: PoolGroup,
    installed: watch::Receiver<Option<bool>>,
    cache: &Cache,
    triggers: &Triggers,
) where
    K: PoolKind + Clone + Debug + Send + Sync + 'static,
{
    let Some(index) = cache.pools.get(&group).cloned() else { return };
    let triggers = triggers.clone();
    tasks.spawn(async move {
        let start = || {
            let (apis, index, triggers) = (apis.clone(), Arc::clone(&index), triggers.clone());
            async move {
                let changed = |old: Option<&Pool>, new: Option<&Pool>| triggers.pool(old, new);
                // Strategies that say the kind is not installed have to look again, pools or none.
                let is_new = !index.is_listed();
                let listed = || {
                    if is_new {
                        triggers.all();
                    }
                };
                let hold = || |event| mapped(event, |object: PoolOf<K>| object.pool);
                let of_pool = |pool: &Pool| key(&pool.metadata);
                let config = watcher::Config::default().page_size(OBJECTS_PER_PAGE);
                follow(all_events(apis, config, hold, of_pool), &index, of_pool, changed, listed).await;
            }
        };
        let absent = || {
            index.absent();
            triggers.all();
        };
        while_installed(installed, start, absent).await;
    });
}
