//! Eight pools in one process.

use bytes::Bytes;
use futures::{StreamExt, stream};
use picker_core::View;
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::request::Headers;
use picker_core::view::Reading;
use serde_json::json;

use super::*;
use crate::exchange::{Cut, Exchange, Incoming, RequestBody};
use crate::metrics::{self, Metrics};
use crate::view;

const POOLS: usize = 8;

fn pools(budget: usize) -> (Vec<Pool>, Vec<Metrics>) {
    let limits = Arc::new(Limits {
        max_body: 1 << 20,
        refuse_longer: false,
        body_timeout: Duration::from_secs(30),
        subset_filter: true,
        endpoint_scores: false,
        budget: BodyBudget::new(budget),
    });
    let pool = |n: usize| {
        let endpoint = Slots::default().admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n}").into(), port: 8000, rank: 0 },
            pod: format!("pod-of-{n}"),
            namespace: "ns".to_owned(),
            address: ([10, 0, n as u8, 1], 8000).into(),
            labels: Labels::new(),
        });
        let view = view::empty();
        let now = std::time::Instant::now();
        let rows = vec![(Arc::new(endpoint), Reading::default())];
        view.store(Arc::new(View::build(rows, now, Duration::from_secs(60))));
        let hot = Arc::new(Hot::default());
        hot.offer(&by_prefix(1), Scope::Resource);
        let metrics = Metrics::of_pool(Some(&format!("pool-{n}")), view.clone());
        let traffic = metrics.traffic.clone();
        (
            Pool {
                hot,
                view,
                activity: Default::default(),
                decisions: Default::default(),
                http: Arc::new(picker_core::http::NoClient),
                policies: Policies::default(),
                traffic,
                limits: limits.clone(),
            },
            metrics,
        )
    };
    (0..POOLS).map(pool).unzip()
}

fn by_prefix(weight: u32) -> serde_json::Value {
    json!({
        "plugins": [{"type": "prefix-cache-scorer"}],
        "schedulingProfiles": [
            {"name": "default", "plugins": [{"pluginRef": "prefix-cache-scorer", "weight": weight}]}
        ],
    })
}

/// The pod that a request of `pool` goes to; its response ends at once.
async fn ask(pool: &Pool) -> String {
    let body = Bytes::from(r#"{"model": "m", "prompt": "a long prompt"}"#);
    let incoming = Incoming {
        headers: Headers::default(),
        body,
        decoded: false,
        partial: false,
        replaceable: true,
        subset: None,
    };
    let mut exchange = Exchange::begin(pool);
    let strategy = exchange.strategy().unwrap();
    let (response, _) = exchange.decide(strategy, incoming).unwrap();
    let pod = response.flight().endpoint().pod.clone();
    response.ended();
    pod
}

#[tokio::test]
async fn each_pool_has_its_endpoints_its_strategy_and_its_metrics() {
    let (pools, metrics) = pools(1 << 20);
    let asked: Vec<_> = stream::iter(&pools).then(ask).collect().await;
    assert_eq!(asked, (0..POOLS).map(|n| format!("pod-of-{n}")).collect::<Vec<_>>());

    let before: Vec<_> = pools.iter().map(|pool| pool.hot.current().unwrap()).collect();
    pools[3].hot.offer(&by_prefix(7), Scope::Resource);
    for (n, pool) in pools.iter().enumerate() {
        assert_eq!(Arc::ptr_eq(&before[n], &pool.hot.current().unwrap()), n != 3, "{n}");
    }
    ask(&pools[3]).await;

    let page = metrics::page(&metrics).unwrap();
    for n in 0..POOLS {
        let count = if n == 3 { 2 } else { 1 };
        let line = format!(
            "waypost_picker_requests_total{{pool=\"pool-{n}\",model=\"m\",status=\"none\",reason=\"routed\"}} {count}\n"
        );
        assert!(page.contains(&line), "{line}{page}");
    }
    // Each family once, as the format asks.
    let types: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let once: std::collections::BTreeSet<_> = types.iter().collect();
    assert_eq!(once.len(), types.len(), "{page}");
    assert_eq!(page.matches("# EOF\n").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_wakes_its_pool_and_no_other() {
    let (pools, _) = pools(1 << 20);
    let watched = |pool: &Pool| {
        let activity = pool.activity.clone();
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move { activity.watch(|| false).await }))
    };
    let _tasks: Vec<_> = pools.iter().map(watched).collect();
    let mut resting: Vec<_> = pools.iter().map(|pool| pool.activity.resting()).collect();
    for resting in &mut resting {
        resting.wait_for(|resting| *resting).await.unwrap();
    }
    ask(&pools[3]).await;
    resting[3].wait_for(|resting| !*resting).await.unwrap();
    let all: Vec<_> = resting.iter().map(|resting| *resting.borrow()).collect();
    assert_eq!(all, (0..POOLS).map(|n| n != 3).collect::<Vec<_>>());
}

#[test]
fn the_memory_for_bodies_is_that_of_the_process() {
    let (pools, _) = pools(400_000);
    let body = |pool: usize| RequestBody::expect(&pools[pool].limits, 100, None);
    let mut first = body(0).unwrap();
    first.push(&mut Bytes::from(vec![0; 349_000])).unwrap();
    let mut second = body(7).unwrap();
    let mut chunk = Bytes::from(vec![0; 300_000]);
    assert_eq!(second.push(&mut chunk), Err(Cut::NoRoom));
    assert_eq!(chunk.len(), 300_000);
    drop(first);
    assert_eq!(second.push(&mut chunk), Ok(()));
}
