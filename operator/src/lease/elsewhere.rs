//! Namespaces in which an operator of their own works: that of all namespaces yields there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info};

use super::leadership::Leadership;
use super::marks::{EVERY, marked};
use super::record::Seen;
use super::scope::NAMESPACE_LEASE;

/// How often it is looked whether a Lease has run out.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time that one request may take.
const REQUEST: Duration = Duration::from_secs(3);
/// The most characters that are kept of a holder's name.
const LONGEST_NAME: usize = 256;
/// The Leases are not waited for longer at the start: without the right to read them nobody is known.
const PATIENCE: Duration = Duration::from_secs(5);

/// The namespaces that operators of their own hold, and by whom.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    held: Mutex<BTreeMap<String, String>>,
    known: AtomicBool,
}

impl Elsewhere {
    /// Whether it is known who works where, or was waited for long enough.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// The operator that works in `namespace`.
    pub fn holder(&self, namespace: &str) -> Option<String> {
        self.lock().get(namespace).cloned()
    }

    /// All that work in a namespace of their own.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    fn know(&self) {
        self.known.store(true, Ordering::Release);
    }

    fn set(&self, held: BTreeMap<String, String>) {
        let mut before = self.lock();
        for (namespace, holder) in held.iter().filter(|(namespace, _)| !before.contains_key(*namespace)) {
            info!(namespace, holder, "an operator of its own works in this namespace; yielding to it there");
        }
        for namespace in before.keys().filter(|namespace| !held.contains_key(*namespace)) {
            info!(namespace, "no other operator works in this namespace any more");
        }
        *before = held;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the Leases of namespaces, and while this process is its release's leader leaves the mark of `operator` on those
/// that others hold. Never ends.
pub(super) async fn follow(client: Client, operator: String, home: Leadership, elsewhere: Arc<Elsewhere>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={NAMESPACE_LEASE}"));
    let events = watcher(Api::<Lease>::all(client.clone()), config).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut leases = Leases::default();
    let (began, mut marked_at) = (Instant::now(), None::<Instant>);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => leases.note(event),
                Some(Err(error)) => debug!(%error, "cannot watch the Leases of namespaces"),
                None => return std::future::pending().await,
            },
            () = sleep(LOOK) => {}
        }
        if leases.listed || began.elapsed() >= PATIENCE {
            elsewhere.set(leases.held(&operator, Instant::now()));
            elsewhere.know();
        }
        if home.holds() && marked_at.is_none_or(|at| at.elapsed() >= EVERY) && !elsewhere.lock().is_empty() {
            marked_at = Some(Instant::now());
            for namespace in elsewhere.all().into_keys() {
                let api = Api::<Lease>::namespaced(client.clone(), &namespace);
                if let Ok(Err(error)) = timeout(REQUEST, mark(&api, &operator)).await {
                    debug!(%error, namespace, "cannot leave a mark on the Lease");
                }
            }
        }
    }
}

async fn mark(api: &Api<Lease>, operator: &str) -> Result<(), kube::Error> {
    let Some(mut lease) = api.get_opt(NAMESPACE_LEASE).await? else { return Ok(()) };
    lease.metadata.managed_fields = None;
    let lease = marked(lease, operator, Timestamp::now());
    api.replace(NAMESPACE_LEASE, &PostParams::default(), &lease).await.map(drop)
}

/// The Leases of namespaces as they are known.
#[derive(Default)]
struct Leases {
    known: BTreeMap<String, (Lease, Seen)>,
    listing: BTreeSet<String>,
    listed: bool,
}

impl Leases {
    fn note(&mut self, event: Event<Lease>) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(lease) => {
                self.listing.insert(lease.metadata.namespace.clone().unwrap_or_default());
                self.put(lease);
            }
            Event::InitDone => {
                let listing = std::mem::take(&mut self.listing);
                self.known.retain(|namespace, _| listing.contains(namespace));
                self.listed = true;
            }
            Event::Apply(lease) => self.put(lease),
            Event::Delete(lease) => {
                self.known.remove(lease.metadata.namespace.as_deref().unwrap_or_default());
            }
        }
    }

    fn put(&mut self, mut lease: Lease) {
        let namespace = std::mem::take(&mut lease.metadata).namespace.unwrap_or_default();
        // Whoever may write the Lease chooses the name.
        if let Some(holder) = lease.spec.as_mut().and_then(|spec| spec.holder_identity.as_mut()) {
            *holder = holder.chars().take(LONGEST_NAME).collect();
        }
        self.known.entry(namespace).or_default().0 = lease;
    }

    /// The namespaces whose Lease another than `operator` holds now.
    fn held(&mut self, operator: &str, now: Instant) -> BTreeMap<String, String> {
        let held = self.known.iter_mut().filter_map(|(namespace, (lease, seen))| {
            let holder = lease.spec.as_ref()?.holder_identity.clone()?;
            (!seen.may_take(lease, operator, now)).then(|| (namespace.clone(), holder))
        });
        held.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{held, released};
    use super::*;

    fn lease(namespace: &str, second: i64) -> Lease {
        let mut lease =
            held(None, "team/waypost", Duration::from_secs(10), Timestamp::from_second(second).unwrap());
        lease.metadata.namespace = Some(namespace.to_owned());
        lease
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_anothers_while_its_lease_is_renewed() {
        let mut leases = Leases::default();
        let of = |leases: &mut Leases| {
            leases.held("system/waypost", Instant::now()).into_keys().collect::<Vec<_>>()
        };
        for event in
            [Event::Init, Event::InitApply(lease("a", 0)), Event::InitApply(lease("b", 0)), Event::InitDone]
        {
            leases.note(event);
        }
        assert_eq!(of(&mut leases), ["a", "b"]);
        tokio::time::advance(Duration::from_secs(9)).await;
        leases.note(Event::Apply(lease("a", 9)));
        assert_eq!(of(&mut leases), ["a", "b"]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(of(&mut leases), ["a"]);
        leases.note(Event::Apply(released(lease("a", 9), Timestamp::UNIX_EPOCH)));
        assert_eq!(of(&mut leases), [""; 0]);
        // Of our own it takes nothing away.
        assert_eq!(leases.held("team/waypost", Instant::now()), [].into());
        let mut long = lease("b", 9);
        long.spec.as_mut().unwrap().holder_identity = Some("x".repeat(9_999));
        leases.note(Event::Apply(long));
        assert_eq!(leases.held("system/waypost", Instant::now()), [("b".to_owned(), "x".repeat(256))].into());
    }
}
