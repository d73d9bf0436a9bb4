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
