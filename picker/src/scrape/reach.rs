//! Connections to endpoints that nobody scrapes: whether somebody listens there.
//!
//! Scrapes say so by the way. A strategy that reads no metrics would learn it from requests that fail: so a connection is
//! made to each endpoint when it comes, and from time to time while it fails. Nothing is sent.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use picker_core::Hot;
use picker_core::health::{Phase, Settings};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::job::Job;
use super::outcome::Failure;
use crate::watch::endpoint_set::Target;

/// The time from one connection to an endpoint that fails to the next.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a connection may take.
const DEADLINE: Duration = Duration::from_secs(1);
/// Connections at a time.
const AT_ONCE: usize = 32;

/// The task that makes the connections.
#[derive(Debug)]
pub struct Reach {
    /// What is scraped.
    pub jobs: watch::Receiver<Option<Arc<Job>>>,
    /// The endpoints.
    pub targets: watch::Receiver<Arc<[Target]>>,
    /// The strategy that serves, which says whether their health matters.
    pub hot: Arc<Hot>,
}

impl Reach {
    /// Makes them until a sender is gone.
    pub async fn run(mut self) {
        let mut known: HashSet<(u64, SocketAddr)> = HashSet::new();
        loop {
            let targets = self.targets.borrow_and_update().clone();
            let job = self.jobs.borrow_and_update().clone();
            let settings = self.hot.current().map(|strategy| strategy.health);
            let key = |target: &Target| (target.endpoint.key, target.endpoint.address);
            if let Some(settings) = settings.filter(|settings| settings.enabled) {
                let now = Instant::now().into_std();
                let unknown = |target: &&Target| {
                    let Target { endpoint, .. } = target;
                    let scraped = job.as_ref().is_some_and(|job| job.place.is_served_at(endpoint.address));
                    let healthy = endpoint.health().status(now).phase == Phase::Healthy;
                    !(scraped || healthy && known.contains(&key(target)))
                };
                let looks = targets.iter().filter(unknown).map(|target| look(target, &settings));
                futures::stream::iter(looks).for_each_concurrent(AT_ONCE, |look| look).await;
                known = targets.iter().map(key).collect();
            }
            let changed = tokio::select! {
                changed = self.targets.changed() => changed,
                changed = self.jobs.changed() => changed,
                () = sleep(AGAIN) => Ok(()),
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

/// Makes a connection to `target`, and notes what came of it.
async fn look(target: &Target, settings: &Settings) {
    let made = timeout(DEADLINE, TcpStream::connect(target.endpoint.address)).await;
    let (health, now) = (target.endpoint.health(), Instant::now().into_std());
    match made {
        Ok(Ok(_)) => health.connected(now),
        Ok(Err(error)) => {
            if Failure::Connect(error).is_refusal() {
                health.refused(now, settings);
            }
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use picker_core::config::Scope;
    use picker_core::endpoint::{EndpointId, EndpointSpec};
    use picker_core::health::Verdict;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;
    use crate::watch::endpoint_set::EndpointSet;

    /// Longer than anything here takes on a machine that is not stuck.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn targets(addresses: &[SocketAddr]) -> Arc<[Target]> {
        let specs = addresses.iter().enumerate().map(|(n, &address)| EndpointSpec {
            id: EndpointId { pod_uid: format!("u{n}").into(), port: address.port(), rank: 0 },
            pod: format!("p{n}"),
            namespace: "default".to_owned(),
            address,
            labels: Default::default(),
        });
        let mut set = EndpointSet::default();
        set.apply(&specs.collect::<Vec<_>>());
        set.targets().cloned().collect()
    }

    fn hot(health: Value) -> Arc<Hot> {
        let hot = Hot::default();
        hot.offer(
            &json!({"plugins": [{"type": "active-request-scorer"}], "health": health}),
            Scope::Resource,
        );
        Arc::new(hot)
    }

    fn phase(target: &Target) -> Phase {
        target.endpoint.health().status(std::time::Instant::now()).phase
    }

    async fn until(target: &Target, wanted: Phase) {
        let reached = async {
            while phase(target) != wanted {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("never {wanted:?}"));
    }

    #[tokio::test]
    async fn who_does_not_listen_is_ejected_until_it_does() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let targets = targets(&[open.local_addr().unwrap(), closed]);
        let (jobs, sent) = (watch::Sender::default(), watch::Sender::new(targets.clone()));
        let reach = Reach { jobs: jobs.subscribe(), targets: sent.subscribe(), hot: hot(json!({})) };
        let _task = AbortOnDropHandle::new(tokio::spawn(reach.run()));
        until(&targets[1], Phase::Ejected).await;
        assert_eq!(phase(&targets[0]), Phase::Healthy);
        let (mut first, _) = open.accept().await.unwrap();
        // Nothing is sent, and who listens is not asked again.
        let read = tokio::io::AsyncReadExt::read(&mut first, &mut [0; 16]).await;
        assert_eq!(read.unwrap(), 0);
        let _now_open = TcpListener::bind(closed).await.unwrap();
        until(&targets[1], Phase::Healthy).await;
        assert!(futures::FutureExt::now_or_never(open.accept()).is_none());
    }

    #[tokio::test]
    async fn who_listens_and_fails_requests_is_left_to_a_trial() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let targets = targets(&[open.local_addr().unwrap()]);
        let now = std::time::Instant::now();
        targets[0].endpoint.health().report(Verdict::Unreachable, now, true, 1, now);
        let (jobs, sent) = (watch::Sender::default(), watch::Sender::new(targets.clone()));
        let reach = Reach { jobs: jobs.subscribe(), targets: sent.subscribe(), hot: hot(json!({})) };
        let _task = AbortOnDropHandle::new(tokio::spawn(reach.run()));
        until(&targets[0], Phase::Due).await;
        for _ in 0..2 {
            open.accept().await.unwrap();
            assert_eq!(phase(&targets[0]), Phase::Due);
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_for_a_strategy_that_ejects_nobody() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let targets = targets(&[open.local_addr().unwrap()]);
        let (jobs, sent) = (watch::Sender::default(), watch::Sender::new(targets));
        let hot = hot(json!({"enabled": false}));
        let reach = Reach { jobs: jobs.subscribe(), targets: sent.subscribe(), hot };
        drop(sent);
        reach.run().await;
        assert!(futures::FutureExt::now_or_never(open.accept()).is_none());
    }
}
