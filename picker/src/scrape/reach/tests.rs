use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec};
use picker_core::health::Verdict;
use picker_core::scrape::{MetricsSource, SourcePlan};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::scrape::job::{Defaults, Jobs};
use crate::scrape::pace::Limits;
use crate::scrape::place::Place;
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
    set.apply(specs);
    set.targets().cloned().collect()
}

fn hot(health: Value) -> Arc<Hot> {
    let hot = Hot::default();
    hot.offer(&json!({"plugins": [{"type": "active-request-scorer"}], "health": health}), Scope::Resource);
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

/// What is read of it seldom, or elsewhere, tells too late whether it listens.
#[test]
fn an_endpoint_is_scraped_where_its_own_port_is_asked_often() {
    let limits = Limits { interval: Duration::from_millis(50), rest: Duration::from_secs(2), share: None };
    let defaults = Defaults { place: Place::default(), limits, stale_after: Duration::from_secs(2) };
    let mut jobs = Jobs::new(defaults);
    let target = targets(&["10.0.0.1:8000".parse().unwrap()])[0].clone();
    let mut scraped = |source: MetricsSource| {
        jobs.install(Some(&Arc::new(SourcePlan { source, ..SourcePlan::default() }.into())));
        is_scraped(jobs.subscribe().borrow().as_deref(), &target)
    };
    let seldom = MetricsSource { interval: Some(Duration::from_secs(9)), ..MetricsSource::default() };
    let often = MetricsSource { interval: Some(OFTEN), ..MetricsSource::of(SourceKind::Models) };
    let elsewhere = MetricsSource { port: Some(9), ..MetricsSource::default() };
    let of = SourceKind::ALL.map(MetricsSource::of);
    assert_eq!(of.map(&mut scraped), [true, false, false, true]);
    assert_eq!([seldom, often, elsewhere].map(scraped), [true, true, false]);
}
