use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::fake_api::{self, Answer};
use crate::metrics::StrategyMetrics;
use crate::source::{Desk, Offer};
use crate::view;
use picker_core::config::Scope;

async fn get(router: &Router, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_pages() {
    let desk = Desk::new(Arc::default(), StrategyMetrics::default());
    let readiness = Readiness::default();
    let admin = Admin {
        metrics: Arc::new(Metrics::new(view::empty())),
        readiness: readiness.clone(),
        installed: desk.installed(),
        view: view::empty(),
    };
    let (client, _) = fake_api::client(|_| Answer::Error(503));
    let guarded = admin.clone().router(Some(Arc::new(auth::Auth::new(client))));
    assert_eq!(get(&guarded, "/readyz").await, (503, "not ready; the log says why\n".to_owned()));
    let router = admin.router(None);
    assert_eq!(get(&router, "/healthz").await, (200, "ok\n".to_owned()));
    let starting = "not ready, waiting for:\nthe picker has only just started\n";
    assert_eq!(get(&router, "/readyz").await, (503, starting.to_owned()));
    readiness.drain();
    assert_eq!(get(&router, "/readyz").await, (503, "draining\n".to_owned()));
    let (status, metrics) = get(&router, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.ends_with("# EOF\n"));
    assert_eq!(get(&router, "/debug/endpoints").await, (200, "{\"endpoints\":[]}".to_owned()));

    let routing = json!({"plugins": [{"type": "random-picker"}]});
    desk.offer(Offer { routing: &routing, scope: Scope::File, generation: Some(2) });
    let (_, strategy) = get(&router, "/debug/strategy").await;
    let mut strategy: Value = serde_json::from_str(&strategy).unwrap();
    let since: jiff::Timestamp = strategy["since"].take().as_str().unwrap().parse().unwrap();
    assert!(since <= jiff::Timestamp::now());
    let revision = desk.installed().borrow().revision.clone();
    assert_eq!(
        strategy,
        json!({
            "revision": revision, "since": null, "resets": [], "offered": revision, "generation": 2,
            "error": null, "routing": routing,
        })
    );
}
