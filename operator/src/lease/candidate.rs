//! The candidate of the election: takes the Lease, renews it and gives it up.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::leadership::Leadership;
use super::marks::{EVERY, Marks, marked, sweep};
use super::record::{Seen, held, released};
use super::timing::Timing;

/// A candidate: a replica that wants to lead.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    leadership: Leadership,
    seen: Seen,
    /// The Lease as we wrote it last, so that a renewal is one request.
    own: Option<Lease>,
    /// Whether the last attempt failed.
    failing: bool,
    /// The other replica that was last said to lead.
    leader: Option<String>,
    /// For a Lease of strategies: the leadership among the replicas of the release, without which there is no candidacy.
    under: Option<Leadership>,
    /// Who yields to the holder.
    marks: Arc<Marks>,
    /// The other holder, and when it was told last that this release yields to it.
    yields_to: Option<(String, Instant)>,
}

/// Who holds the Lease after an attempt.
enum Holder {
    Us,
    /// Its identity, as far as it is known.
    Another(Option<String>),
    /// Whoever it is: there is no right to read the Lease. With the words of the API server.
    Unreadable(String),
}

/// How often it is looked whether the release's leadership is this process's.
const LOOK: Duration = Duration::from_millis(500);

impl Candidate {
    /// A candidate called `identity` for the Lease `name`. `client` should be one of its own, so that
    /// renewals don't wait behind other requests.
    pub fn new(client: Client, namespace: &str, name: &str, identity: String, timing: Timing) -> Self {
        let api = Api::namespaced(client, namespace);
        let leadership = Leadership::default();
        Self {
            api,
            name: name.to_owned(),
            identity,
            timing,
            leadership,
            seen: Seen::default(),
            own: None,
            failing: false,
            leader: None,
            under: None,
            marks: Arc::default(),
            yields_to: None,
        }
    }

    /// The candidacy of a release, for which the process stands that leads its replicas.
    pub(super) fn under(self, replicas: Leadership) -> Self {
        Self { under: Some(replicas), ..self }
    }

    /// The marks of those that yield to the holder of the Lease.
    pub(super) fn marks(&self) -> Arc<Marks> {
        self.marks.clone()
    }

    /// The leadership that the election is about.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Stands for election, for ever.
    pub async fn run(&mut self) {
        let mut led = false;
        loop {
            let may = self.under.as_ref().is_none_or(Leadership::holds);
            let wait = if may { self.step().await } else { self.stand_by() };
            let leads = self.leadership.holds();
            if leads != led {
                info!(lease = self.name, identity = self.identity, leads, "leadership changed");
                led = leads;
            }
            sleep(wait).await;
        }
    }

    /// Leaves the Lease to the replica that leads.
    fn stand_by(&mut self) -> Duration {
        self.leadership.end();
        self.own = None;
        self.yields_to = None;
        LOOK
    }

    /// Gives the Lease up, so that another can take it at once.
    pub async fn release(&mut self) {
        let held = self.leadership.holds();
        self.leadership.end();
        let Some(own) = self.own.take().filter(|_| held) else { return };
        let given = released(own, Timestamp::now());
        match timeout(self.timing.request, self.api.replace(&self.name, &PostParams::default(), &given)).await
        {
            Ok(Ok(_)) => info!("released the Lease"),
            Ok(Err(error)) => warn!(%error, "could not release the Lease; it runs out by itself"),
            Err(_) => warn!("could not release the Lease in time; it runs out by itself"),
        }
    }

    /// One attempt to take or renew the Lease. Returns how long to wait before the next.
    async fn step(&mut self) -> Duration {
        let began = Instant::now();
        let result = timeout(self.timing.request, self.attempt()).await;
        let failed = !matches!(result, Ok(Ok(Holder::Us | Holder::Another(_))));
        let was_failing = std::mem::replace(&mut self.failing, failed);
        if was_failing && !failed {
            info!("the API server answers again");
        }
        match result {
            Ok(Ok(Holder::Us)) => {
                self.leader = None;
                self.leadership.extend(began + self.timing.lease);
                self.timing.renew
            }
            Ok(Ok(Holder::Another(leader))) => {
                self.leadership.end();
                self.name_leader(leader);
                self.timing.retry
            }
            Ok(Ok(Holder::Unreadable(error))) => self.unguarded(&error, was_failing, began),
            failed => {
                let error = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "the API server did not answer in time".to_owned(),
                };
                if was_failing {
                    debug!(error, lease = self.name, "could not ask for the Lease");
                } else {
                    warn!(error, lease = self.name, "could not ask for the Lease; trying on");
                }
                // Whether the write arrived is not known, so what we believe is stored is not either.
                self.own = None;
                self.timing.retry
            }
        }
    }

    /// Says who leads, whenever that is somebody else than before: whoever reads the log of a standby wants to know where
    /// to look.
    fn name_leader(&mut self, leader: Option<String>) {
        let Some(leader) = leader.filter(|leader| self.leader.as_ref() != Some(leader)) else { return };
        info!(
            identity = self.identity,
            leader, "standing by: another replica leads, and its log tells of the work"
        );
        self.leader = Some(leader);
    }

    /// Works without the Lease, for which the rights of an earlier release don't suffice: they don't let it be read. A write
    /// is forbidden for other reasons too, as in a namespace that ends, over a quota, or by an admission policy.
    fn unguarded(&mut self, error: &str, was_failing: bool, began: Instant) -> Duration {
        if !was_failing {
            warn!(
                error,
                lease = self.name,
                "no right to the Lease for what is worked on; working without it, so that another operator would not be \
                 noticed"
            );
        }
        self.leadership.extend(began + self.timing.lease);
        self.timing.renew
    }

    async fn attempt(&mut self) -> Result<Holder, kube::Error> {
        if let Some(own) = &self.own {
            match self.write(Some(own.clone())).await {
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                    self.own = None
                }
                other => return other,
            }
        }
        let lease = match self.api.get_opt(&self.name).await {
            Err(kube::Error::Api(status)) if self.under.is_some() && status.is_forbidden() => {
                return Ok(Holder::Unreadable(status.message.clone()));
            }
            read => read?,
        };
        match lease {
            None => self.write(None).await,
            Some(lease) if self.seen.may_take(&lease, &self.identity, Instant::now()) => {
                self.write(Some(lease)).await
            }
            Some(lease) => Ok(self.yielded(lease).await),
        }
        .or_else(|error| match error {
            // Another was quicker.
            kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => {
                Ok(Holder::Another(None))
            }
            error => Err(error),
        })
    }

    /// Yields to the holder of `lease`: says so in the log, and to the holder by a mark on the Lease.
    async fn yielded(&mut self, lease: Lease) -> Holder {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        // Replicas of one release know of each other.
        if self.under.is_none() {
            return Holder::Another(holder);
        }
        let holder = holder.unwrap_or_default();
        let known = self.yields_to.as_ref().filter(|(known, _)| *known == holder);
        let namespace = lease.metadata.namespace.as_deref().unwrap_or_default();
        if known.is_none() {
            warn!(
                holder,
                lease = format!("{namespace}/{}", self.name),
                "another operator works on these strategies; yielding to it, and ready to go on when it ends"
            );
        }
        if known.is_none_or(|(_, told)| told.elapsed() >= EVERY) {
            let mut told = marked(lease, &self.identity, Timestamp::now());
            told.metadata.managed_fields = None;
            if let Err(error) = self.api.replace(&self.name, &PostParams::default(), &told).await {
                debug!(%error, "cannot leave a mark on the Lease");
            }
            self.yields_to = Some((holder, Instant::now()));
        }
        // That was said.
        Holder::Another(None)
    }

    async fn write(&mut self, lease: Option<Lease>) -> Result<Holder, kube::Error> {
        let exists = lease.is_some();
        let now = Instant::now();
        if let Some(read) = &lease {
            self.marks.note(read, now);
        }
        let mut lease = held(lease, &self.identity, self.timing.lease, Timestamp::now());
        sweep(&mut lease, &self.marks.fresh(now));
        lease.metadata.name = Some(self.name.clone());
        lease.metadata.managed_fields = None;
        let params = PostParams::default();
        let stored = if exists {
            self.api.replace(&self.name, &params, &lease).await?
        } else {
            self.api.create(&params, &lease).await?
        };
        self.own = Some(stored);
        self.yields_to = None;
        Ok(Holder::Us)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use http::{Method, Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server that holds one Lease, and forbids some requests.
    #[derive(Clone, Default)]
    struct Server {
        lease: Arc<Mutex<Option<Value>>>,
        forbids: Arc<Mutex<Vec<Method>>>,
    }

    impl Server {
        fn client(&self) -> Client {
            let server = self.clone();
            Client::new(tower::service_fn(move |request| server.clone().answer(request)), "llm")
        }

        async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let mut lease = self.lease.lock().unwrap();
            let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
            let refusal = |code: u16, reason: &str| {
                (
                    code,
                    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}),
                )
            };
            let (code, answer) = match (&head.method, lease.as_ref()) {
                (method, _) if self.forbids.lock().unwrap().contains(method) => refusal(403, "Forbidden"),
                (&Method::GET, Some(known)) => (200, known.clone()),
                (&Method::GET, None) => refusal(404, "NotFound"),
                (&Method::POST, Some(_)) => refusal(409, "AlreadyExists"),
                (&Method::PUT, Some(known)) if version(known) != version(&body) => refusal(409, "Conflict"),
                _ => {
                    let next =
                        lease.as_ref().map_or(0, |known| version(known).as_str().unwrap().parse().unwrap())
                            + 1;
                    body["metadata"]["resourceVersion"] = format!("{next}").into();
                    *lease = Some(body.clone());
                    (200, body)
                }
            };
            Ok(Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap())
        }
    }

    fn release(server: &Server, name: &str) -> Candidate {
        Candidate::new(server.client(), "llm", "waypost-strategies", name.to_owned(), Timing::default())
            .under(Leadership::alone())
    }

    /// The one yields, says so on the Lease, and goes on at once when the other has given up.
    #[tokio::test(start_paused = true)]
    async fn of_two_operators_one_works() {
        let server = Server::default();
        let (mut one, mut other) = (release(&server, "a/waypost"), release(&server, "b/waypost"));
        one.step().await;
        other.step().await;
        assert!(one.leadership().holds() && !other.leadership().holds());
        one.step().await;
        assert!(one.leadership().holds());
        assert_eq!(one.marks().fresh(Instant::now()), ["b/waypost"]);
        // A mark is left now and then, not with each look.
        let before = server.lease.lock().unwrap().clone();
        other.step().await;
        assert_eq!(*server.lease.lock().unwrap(), before);
        one.release().await;
        other.step().await;
        assert!(!one.leadership().holds() && other.leadership().holds());
    }

    /// Replicas of one release pass the Lease on among themselves without a wait.
    #[tokio::test(start_paused = true)]
    async fn the_lease_is_the_releases() {
        let server = Server::default();
        let (mut one, mut next) = (release(&server, "a/waypost"), release(&server, "a/waypost"));
        one.step().await;
        next.step().await;
        assert!(next.leadership().holds());
        let mut standby = release(&server, "a/waypost").under(Leadership::default());
        standby.stand_by();
        assert!(!standby.leadership().holds());
    }

    /// The image of this release may come before its rights.
    #[tokio::test(start_paused = true)]
    async fn without_the_right_to_the_lease_it_works_as_before() {
        let server = Server::default();
        *server.forbids.lock().unwrap() = vec![Method::GET, Method::POST, Method::PUT];
        let mut one = release(&server, "a/waypost");
        one.step().await;
        assert!(one.leadership().holds());
        let mut replica =
            Candidate::new(server.client(), "llm", "waypost-operator", "pod".to_owned(), Timing::default());
        replica.step().await;
        assert!(!replica.leadership().holds());
    }

    /// As in a namespace that ends, over a quota, or by an admission policy: of two operators both would work.
    #[tokio::test(start_paused = true)]
    async fn where_only_the_write_is_forbidden_it_stands_by() {
        let server = Server::default();
        *server.forbids.lock().unwrap() = vec![Method::POST];
        let mut one = release(&server, "a/waypost");
        one.step().await;
        assert!(!one.leadership().holds());
        server.forbids.lock().unwrap().clear();
        one.step().await;
        assert!(one.leadership().holds());
        *server.forbids.lock().unwrap() = vec![Method::PUT];
        tokio::time::advance(Duration::from_secs(3)).await;
        one.step().await;
        // Until the Lease has run out.
        assert!(one.leadership().holds());
        tokio::time::advance(Duration::from_secs(7)).await;
        one.step().await;
        assert!(!one.leadership().holds());
    }
}
