//! The watch of one kind, which lists, follows, and keeps an index in step.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::Api;
use kube::api::ObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{info, warn};

use super::index::Index;

/// The waits after failed requests of a watch: short, since the API server's own fairness protects it, and an edit
/// should be live soon after its return. They begin anew after a time without failures, not after a
/// success: before each list that fails, a watch says that it begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
    last: Option<Instant>,
}

impl Retry {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);
    const QUIET: Duration = Duration::from_secs(10);
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.last.replace(now).is_some_and(|last| now.duration_since(last) > Self::QUIET) {
            self.failures = 0;
        }
        let wait = Self::FIRST.saturating_mul(1 << self.failures.min(10)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        Some(wait)
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {}
}

/// The events of a kind, with retries for ever. A failure is logged once, and so is its end. Lists come from the API
/// server's cache, each as a whole.
pub(super) fn events<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = Event<K>> + Send
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    paged_events(api, config.any_semantic())
}

/// The same with lists that come page by page.
pub(super) fn paged_events<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = Event<K>> + Send
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let url = api.resource_url().to_owned();
    let mut failing = false;
    watcher(api, config).backoff(Retry::default()).filter_map(move |event| {
        let event = match event {
            // Said before the list was asked for.
            Ok(Event::Init) => Some(Event::Init),
            Ok(event) => {
                if std::mem::take(&mut failing) {
                    info!(url, "watching again");
                }
                Some(event)
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!(url, error = reason(&error), "cannot watch; trying on");
                }
                None
            }
        };
        ready(event)
    })
}

/// The last cause, which says what happened; the others say in what.
fn reason(error: &watcher::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.message.clone(),
        _ => cause.to_string(),
    }
}

/// The same event of another object.
pub(super) fn mapped<K, V>(event: Event<K>, map: impl FnOnce(K) -> V) -> Event<V> {
    match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(map(object)),
        Event::Apply(object) => Event::Apply(map(object)),
        Event::Delete(object) => Event::Delete(map(object)),
    }
}

/// Keeps `index` in step with a kind. `changed` is called with the old and the new state of each object
/// that differs, and `listed` when there is a new list.
pub(super) async fn follow<V>(
    events: impl Stream<Item = Event<Arc<V>>> + Send,
    index: &Index<V>,
    key: impl Fn(&V) -> (String, String),
    changed: impl Fn(Option<&V>, Option<&V>),
    listed: impl Fn(),
) where
    V: PartialEq,
{
    let mut events = std::pin::pin!(events);
    let mut listing: HashMap<String, std::collections::BTreeMap<String, Arc<V>>> = HashMap::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Init => listing.clear(),
            Event::InitApply(object) => {
                let (namespace, name) = key(&object);
                listing.entry(namespace).or_default().insert(name, object);
            }
            Event::InitDone => {
                let mut old = index.replace(std::mem::take(&mut listing));
                for new in index.all() {
                    let (namespace, name) = key(&new);
                    let before = old.get_mut(&namespace).and_then(|objects| objects.remove(&name));
                    if before.as_deref() != Some(&*new) {
                        changed(before.as_deref(), Some(&new));
                    }
                }
                for gone in old.values().flat_map(|objects| objects.values()) {
                    changed(Some(gone), None);
                }
                listed();
            }
            Event::Apply(new) => {
                let (namespace, name) = key(&new);
                let before = index.insert(&namespace, &name, new.clone());
                if before.as_deref() != Some(&*new) {
                    changed(before.as_deref(), Some(&new));
                }
            }
            Event::Delete(object) => {
                let (namespace, name) = key(&object);
                index.remove(&namespace, &name);
                changed(Some(&object), None);
            }
        }
    }
}

/// The key of an object in an index: namespace and name.
pub(super) fn key(metadata: &ObjectMeta) -> (String, String) {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests;
