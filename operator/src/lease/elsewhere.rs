//! Namespaces in which an operator of their own works: that of all namespaces yields there.

mod known;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join;
use futures::stream::{self, FuturesUnordered};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout, timeout_at};
use tracing::{debug, info};

use super::clients::Clients;
use super::leadership::Leadership;
use super::marks::{EVERY, marked};
use super::scope::NAMESPACE_LEASE;
use crate::cache::Retry;
use known::{Leases, Read};

/// How often it is looked whether a Lease has run out.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time that one request may take.
const REQUEST: Duration = Duration::from_secs(3);
/// How many Leases are read, and how many are marked, at the same time.
const AT_ONCE: usize = 8;
/// The Leases are not waited for longer at the start: without the right to read them nobody is known.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the log says the same of a namespace: whoever may write its Lease changes the holder as often as they like.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The namespaces that operators of their own hold, and by whom.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    state: Mutex<State>,
    known: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    held: BTreeMap<String, String>,
    /// The namespaces that came to be held, or ceased to be, and that nobody asked for since.
    changed: BTreeSet<String>,
    /// When the log said last that a namespace is held (or, with `false`, is not any more).
    said: BTreeMap<(String, bool), Instant>,
}

impl Elsewhere {
    /// Whether it is known who works where, or was waited for long enough.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// The operator that works in `namespace`.
    pub fn holder(&self, namespace: &str) -> Option<String> {
        self.lock().held.get(namespace).cloned()
    }

    /// The namespaces that came to be held, or ceased to be, since this was asked last.
    pub fn changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().changed)
    }

    /// Takes it as known who works where.
    pub fn know(&self) {
        self.known.store(true, Ordering::Release);
    }

    /// Takes `held` as all namespaces that are held, and by whom.
    pub fn set(&self, held: BTreeMap<String, String>, now: Instant) {
        let mut state = self.lock();
        let state = &mut *state;
        let new = held.iter().filter(|(namespace, _)| !state.held.contains_key(*namespace));
        let new: Vec<_> = new.map(|(namespace, holder)| (namespace.clone(), holder.clone())).collect();
        let before = std::mem::replace(&mut state.held, held);
        for (namespace, holder) in new {
            let message = "an operator of its own works in this namespace; yielding to it there";
            match state.say(&namespace, true, now) {
                true => info!(namespace, holder, "{message}"),
                false => debug!(namespace, holder, "{message}"),
            }
            state.changed.insert(namespace);
        }
        let gone: Vec<_> =
            before.into_keys().filter(|namespace| !state.held.contains_key(namespace)).collect();
        for namespace in gone {
            let message = "no other operator works in this namespace any more";
            match state.say(&namespace, false, now) {
                true => info!(namespace, "{message}"),
                false => debug!(namespace, "{message}"),
            }
            state.changed.insert(namespace);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether it is to be said that a namespace is held, or is not any more.
    fn say(&mut self, namespace: &str, held: bool, now: Instant) -> bool {
        self.said.retain(|_, at| now.duration_since(*at) < SAID_EVERY);
        let key = (namespace.to_owned(), held);
        let is_new = !self.said.contains_key(&key);
        if is_new {
            self.said.insert(key, now);
        }
        is_new
    }
}

/// Follows the Leases of namespaces, and while this process is its release's leader leaves the mark of `operator` on those
/// that others hold. Never ends.
pub(super) async fn follow(clients: Clients, operator: String, home: Leadership, elsewhere: Arc<Elsewhere>) {
    join(
        watch(&clients, &operator, &elsewhere),
        leave_marks(&clients.requests, &operator, &home, &elsewhere),
    )
    .await;
}

async fn watch(clients: &Clients, operator: &str, elsewhere: &Elsewhere) {
    let config = watcher::Config::default().fields(&format!("metadata.name={NAMESPACE_LEASE}"));
    let events = watcher(Api::<Lease>::all(clients.watches.clone()), config).backoff(Retry::default());
    let mut events = std::pin::pin!(events);
    let mut leases = Leases::default();
    let mut reads = FuturesUnordered::new();
    let (began, mut look) = (Instant::now(), interval(LOOK));
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => leases.note(event),
                Some(Err(error)) => debug!(%error, "cannot watch the Leases of namespaces"),
                None => return std::future::pending().await,
            },
            Some(read) = reads.next() => leases.note_read(read),
            _ = look.tick() => leases.asks_again(),
        }
        if leases.listed || began.elapsed() >= PATIENCE {
            elsewhere.set(leases.held(operator, Instant::now()), Instant::now());
            elsewhere.know();
        }
        for (namespace, spec) in leases.unclear(AT_ONCE.saturating_sub(reads.len())) {
            let api = Api::<Lease>::namespaced(clients.requests.clone(), &namespace);
            reads.push(async move {
                let answer = match timeout(REQUEST, api.get_opt(NAMESPACE_LEASE)).await {
                    Ok(Ok(lease)) => Some(lease),
                    _ => None,
                };
                Read { namespace, asked: spec, answer }
            });
        }
    }
}

/// Leaves marks for ever, each round at most as long as the time to the next.
async fn leave_marks(client: &Client, operator: &str, home: &Leadership, elsewhere: &Elsewhere) {
    let mut rounds: usize = 0;
    loop {
        sleep(LOOK).await;
        let mut namespaces: Vec<_> = elsewhere.lock().held.keys().cloned().collect();
        if !home.holds() || namespaces.is_empty() {
            continue;
        }
        // What a round has no time for comes sooner in a later one.
        let first = rounds.wrapping_mul(AT_ONCE) % namespaces.len();
        namespaces.rotate_left(first);
        rounds = rounds.wrapping_add(1);
        let next = Instant::now() + EVERY;
        let round = stream::iter(namespaces).for_each_concurrent(AT_ONCE, |namespace| async move {
            let api = Api::<Lease>::namespaced(client.clone(), &namespace);
            if let Ok(Err(error)) = timeout(REQUEST, mark(&api, operator)).await {
                debug!(%error, namespace, "cannot leave a mark on the Lease");
            }
        });
        if timeout_at(next, round).await.is_err() {
            debug!("no time for marks on all Leases");
        }
        sleep_until(next).await;
    }
}

async fn mark(api: &Api<Lease>, operator: &str) -> Result<(), kube::Error> {
    let Some(mut lease) = api.get_opt(NAMESPACE_LEASE).await? else { return Ok(()) };
    lease.metadata.managed_fields = None;
    let lease = marked(lease, operator, Timestamp::now());
    api.replace(NAMESPACE_LEASE, &PostParams::default(), &lease).await.map(drop)
}

#[cfg(test)]
mod tests;
