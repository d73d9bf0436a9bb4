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
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::json;

    use super::known::tests::lease;
    use super::*;

    /// An API server with the Leases of namespaces, whose watch tells nothing.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<Answers>>);

    #[derive(Default)]
    struct Answers {
        leases: BTreeMap<String, Lease>,
        /// It answers nothing well.
        fails: bool,
        /// How long it takes.
        delay: Duration,
    }

    impl Server {
        fn put(&self, lease: Lease) {
            let mut answers = self.0.lock().unwrap();
            answers.leases.insert(lease.metadata.namespace.clone().unwrap(), lease);
        }

        fn fails(&self, fails: bool) {
            self.0.lock().unwrap().fails = fails;
        }

        /// The following of its Leases, by the leader of its release.
        fn followed(&self) -> (Arc<Elsewhere>, std::pin::Pin<Box<dyn Future<Output = ()>>>) {
            let server = self.clone();
            let client = Client::new(tower::service_fn(move |request| server.clone().answer(request)), "llm");
            let clients = Clients { requests: client.clone(), watches: client };
            let elsewhere = Arc::<Elsewhere>::default();
            let home = Leadership::alone();
            (elsewhere.clone(), Box::pin(follow(clients, "system/waypost".to_owned(), home, elsewhere)))
        }

        async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let path: Vec<_> = head.uri.path().split('/').map(str::to_owned).collect();
            let (delay, fails) = {
                let answers = self.0.lock().unwrap();
                (answers.delay, answers.fails)
            };
            tokio::time::sleep(delay).await;
            if head.uri.query().unwrap_or_default().contains("watch=") && !fails {
                return std::future::pending().await;
            }
            let mut answers = self.0.lock().unwrap();
            let namespace = path.iter().position(|part| part == "namespaces").map(|at| path[at + 1].clone());
            let (code, answer) = match namespace {
                _ if fails => (500, json!({"kind": "Status", "status": "Failure", "code": 500})),
                Some(namespace) if head.method == http::Method::PUT => {
                    let lease: Lease = serde_json::from_slice(&body).unwrap();
                    answers.leases.insert(namespace, lease.clone());
                    (200, serde_json::to_value(lease).unwrap())
                }
                Some(namespace) => (200, serde_json::to_value(&answers.leases[&namespace]).unwrap()),
                None => {
                    let items: Vec<_> = answers.leases.values().collect();
                    let metadata = json!({"resourceVersion": "1"});
                    (200, json!({"kind": "LeaseList", "metadata": metadata, "items": items}))
                }
            };
            Ok(Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap())
        }
    }

    async fn pass(seconds: u64, follow: &mut std::pin::Pin<Box<dyn Future<Output = ()>>>) {
        assert!(timeout(Duration::from_secs(seconds), follow).await.is_err());
    }

    /// An operator that begins in a namespace does not wait for us.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_failed_for_long_is_back_within_seconds() {
        let server = Server::default();
        server.put(lease("a", 0));
        server.fails(true);
        let (elsewhere, mut follow) = server.followed();
        pass(100, &mut follow).await;
        assert_eq!(elsewhere.holder("a"), None);
        server.fails(false);
        pass(3, &mut follow).await;
        assert_eq!(elsewhere.holder("a").as_deref(), Some("team/waypost"));
    }

    /// A holder that renews works on, whether or not the watch tells of it.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_tells_nothing_ends_no_lease() {
        let server = Server::default();
        server.put(lease("a", 0));
        let (elsewhere, mut follow) = server.followed();
        let holder = || elsewhere.holder("a").is_some();
        pass(1, &mut follow).await;
        assert!(holder());
        for second in 1..40 {
            server.put(lease("a", second));
            pass(1, &mut follow).await;
            assert!(holder(), "{second}");
        }
        server.fails(true);
        pass(30, &mut follow).await;
        assert!(holder());
        server.fails(false);
        pass(15, &mut follow).await;
        assert!(!holder());
    }

    /// However many Leases there are, and however slow the API server is.
    #[tokio::test(start_paused = true)]
    async fn marks_are_left_on_several_leases_at_once() {
        let server = Server::default();
        for at in 0..32 {
            server.put(lease(&format!("n{at:02}"), 0));
        }
        server.0.lock().unwrap().delay = Duration::from_secs(1);
        let (_, mut follow) = server.followed();
        pass(12, &mut follow).await;
        let answers = server.0.lock().unwrap();
        let marked = answers.leases.values().filter(|lease| lease.metadata.annotations.is_some());
        assert_eq!(marked.count(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_says_the_same_of_a_namespace_once_a_minute() {
        let mut state = State::default();
        let mut say = |namespace, held| state.say(namespace, held, Instant::now());
        assert_eq!([say("a", true), say("a", false), say("b", true)], [true; 3]);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!([say("a", true), say("a", false)], [false; 2]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(say("a", true));
    }
}
