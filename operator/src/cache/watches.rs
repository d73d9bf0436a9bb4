//! The start of the watch of every kind.

use std::fmt::Debug;
use std::sync::Arc;

use crds::{InferencePool, InferencePoolV1Alpha2, Pool, PoolGroup, RoutingStrategy, RoutingStrategySpec};
use futures::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::core::DynamicObject;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use kube_ext::optional_kind::{by_name, definitions, follow_definition, while_installed};
use kube_ext::partial_object::{PartialObject, readable};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::held::{Ledger, kept_of};
use super::index::Index;
use super::pods::PodFacts;
use super::read::{PoolKind, PoolOf};
use super::store::Cache;
use super::triggers::Triggers;
use super::watch::{events, follow, key, paged_events};
use crate::kinds::{self, Kind};
use crate::names;

/// How many strategies a page of their list has.
const STRATEGIES_PER_PAGE: u32 = 32;

/// The namespaces that the operator watches: one, or all.
#[derive(Clone, Debug, Default)]
pub struct Scope(pub Option<String>);

impl Scope {
    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.0 {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    fn dynamic(&self, client: &Client, kind: Kind) -> Api<PartialObject<DynamicObject>> {
        match &self.0 {
            Some(namespace) if kind.scope() == kinds::Scope::Namespace => {
                Api::namespaced_with(client.clone(), namespace, &kind.resource())
            }
            _ => Api::all_with(client.clone(), &kind.resource()),
        }
    }
}

/// Starts the watches of all kinds, which run for ever. The tasks end when the set is dropped.
pub fn run(
    client: &Client,
    scope: &Scope,
    cache: &Cache,
    store: Writer<RoutingStrategy>,
    triggers: &Triggers,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    strategies(&mut tasks, scope.api(client), cache, store, triggers);
    for kind in Kind::ALL {
        let api = scope.dynamic(client, kind);
        if kind.is_optional() {
            let (installed, is_installed) = watch::channel(None);
            let resource = kind.resource();
            let client = client.clone();
            tasks.spawn(async move {
                watch_definition(
                    client,
                    format!("{}.{}", resource.plural, resource.group),
                    &resource.version,
                    installed,
                )
                .await;
            });
            optional(&mut tasks, api, kind, is_installed, cache, triggers);
        } else {
            owned(&mut tasks, api, kind, cache, triggers);
        }
    }
    pods(&mut tasks, scope.api(client), cache, triggers);
    for group in PoolGroup::ALL {
        let (installed, is_installed) = watch::channel(None);
        let version = group.api_version().rsplit('/').next().unwrap_or_default();
        let name = format!("inferencepools.{}", group.group());
        tasks.spawn(watch_definition(client.clone(), name, version, installed));
        match group {
            PoolGroup::V1 => {
                let api = scope.api::<PartialObject<PoolOf<InferencePool>>>(client);
                pools(&mut tasks, api, group, is_installed, cache, triggers);
            }
            PoolGroup::V1Alpha2 => {
                let api = scope.api::<PartialObject<PoolOf<InferencePoolV1Alpha2>>>(client);
                pools(&mut tasks, api, group, is_installed, cache, triggers);
            }
        }
    }
    tasks
}

/// Watches the CustomResourceDefinition called `name`, and tells whether its kind is served in `version`, whenever that
/// changes. `None` until it is known.
async fn watch_definition(
    client: Client,
    name: String,
    version: &str,
    installed: watch::Sender<Option<bool>>,
) {
    let events = readable(events(definitions(client), by_name(&name)));
    follow_definition(events, version, &installed).await;
}

fn strategies(
    tasks: &mut JoinSet<()>,
    api: Api<PartialObject<RoutingStrategy>>,
    cache: &Cache,
    mut store: Writer<RoutingStrategy>,
    triggers: &Triggers,
) {
    let (index, triggers) = (cache.strategies.clone(), triggers.clone());
    tasks.spawn(async move {
        let mut ledger = Ledger::default();
        // A page at a time: a list of strategies may be long, and each of them too.
        let config = watcher::Config::default().page_size(STRATEGIES_PER_PAGE);
        let events = readable(paged_events(api, config)).map(move |event| {
            let event = ledger.admit(event);
            // The queue of reconciles only needs to know which there are.
            store.apply_watcher_event(&event.clone().modify(|strategy| {
                strategy.spec = RoutingStrategySpec::default();
                strategy.status = None;
            }));
            event
        });
        let changed =
            |old: Option<&RoutingStrategy>, new: Option<&RoutingStrategy>| triggers.strategy(old, new);
        follow(events, &index, |s: &RoutingStrategy| key(&s.metadata), |s| s, changed, || {}).await;
    });
}

fn owned(
    tasks: &mut JoinSet<()>,
    api: Api<PartialObject<DynamicObject>>,
    kind: Kind,
    cache: &Cache,
    triggers: &Triggers,
) {
    let Some(index) = cache.owned.get(&kind).cloned() else { return };
    let triggers = triggers.clone();
    tasks.spawn(async move { follow_owned(api, kind, &index, &triggers, || {}).await });
}

/// Starts the watch of a kind of the operator's objects that may not be installed, or not yet.
fn optional(
    tasks: &mut JoinSet<()>,
    api: Api<PartialObject<DynamicObject>>,
    kind: Kind,
    installed: watch::Receiver<Option<bool>>,
    cache: &Cache,
    triggers: &Triggers,
) {
    let Some(index) = cache.owned.get(&kind).cloned() else { return };
    let triggers = triggers.clone();
    tasks.spawn(async move {
        let start = || {
            let (api, index, triggers) = (api.clone(), Arc::clone(&index), triggers.clone());
            async move {
                let is_new = !index.is_listed();
                let listed = || {
                    if is_new {
                        triggers.all();
                    }
                };
                follow_owned(api, kind, &index, &triggers, listed).await;
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
    api: Api<PartialObject<DynamicObject>>,
    kind: Kind,
    index: &Index<DynamicObject>,
    triggers: &Triggers,
    listed: impl Fn() + Send,
) {
    let config =
        watcher::Config::default().labels(&format!("{}={}", names::MANAGED_BY, names::MANAGED_BY_WAYPOST));
    let trim = |object: DynamicObject| kept_of(kind, object);
    let changed = |old: Option<&DynamicObject>, new: Option<&DynamicObject>| triggers.owned(old, new);
    let key = |object: &DynamicObject| key(&object.metadata);
    follow(readable(events(api, config)), index, key, trim, changed, listed).await;
}

fn pods(tasks: &mut JoinSet<()>, api: Api<PartialObject<PodFacts>>, cache: &Cache, triggers: &Triggers) {
    let (index, triggers) = (cache.pods.clone(), triggers.clone());
    tasks.spawn(async move {
        let key = |pod: &PodFacts| (pod.namespace.clone(), pod.name.clone());
        let changed = |old: Option<&PodFacts>, new: Option<&PodFacts>| triggers.pod(old, new);
        let events = readable(events(api, watcher::Config::default()));
        follow(events, &index, key, |pod| pod, changed, || {}).await;
    });
}

fn pools<K>(
    tasks: &mut JoinSet<()>,
    api: Api<PartialObject<PoolOf<K>>>,
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
            let (api, index, triggers) = (api.clone(), Arc::clone(&index), triggers.clone());
            async move {
                let changed = |old: Option<&Pool>, new: Option<&Pool>| triggers.pool(old, new);
                let pool = |object: PoolOf<K>| object.pool;
                // Strategies that say the kind is not installed have to look again, pools or none.
                let is_new = !index.is_listed();
                let listed = || {
                    if is_new {
                        triggers.all();
                    }
                };
                follow(
                    readable(events(api, watcher::Config::default())),
                    &index,
                    |p: &Pool| key(&p.metadata),
                    pool,
                    changed,
                    listed,
                )
                .await;
            }
        };
        let absent = || {
            index.absent();
            triggers.all();
        };
        while_installed(installed, start, absent).await;
    });
}
