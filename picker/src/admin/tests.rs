use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::fake_api::{self, Answer, Asked};
use crate::metrics::StrategyMetrics;
use crate::source::{Installer, Offer};
use crate::view;
use picker_core::config::Scope;

async fn get(router: &Router, path: &str) -> (u16, String) {
    get_as(router, path, None).await
}

async fn get_as(router: &Router, path: &str, authorization: Option<&str>) -> (u16, String) {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    if let Some(value) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
    }
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_pages() {
    let installer = Installer::new(Arc::default(), StrategyMetrics::default());
    let readiness = Readiness::default();
    let admin = Admin {
        metrics: Arc::new(Metrics::new(view::empty())),
        readiness: readiness.clone(),
        serving: installer.serving(),
        view: view::empty(),
        targets: watch::channel(Arc::default()).1,
        decisions: Decisions::default(),
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
    assert_eq!(get(&router, "/debug/decisions").await, (200, "{\"decisions\":[]}".to_owned()));

    let routing = json!({"plugins": [{"type": "random-picker"}]});
    installer.offer(Offer { routing: &routing, scope: Scope::File, generation: Some(2) });
    let (_, strategy) = get(&router, "/debug/strategy").await;
    let mut strategy: Value = serde_json::from_str(&strategy).unwrap();
    let since: jiff::Timestamp = strategy["since"].take().as_str().unwrap().parse().unwrap();
    assert!(since <= jiff::Timestamp::now());
    let revision = installer.serving().borrow().revision.clone();
    assert_eq!(
        strategy,
        json!({
            "revision": revision, "since": null, "resets": [], "offered": revision, "generation": 2,
            "error": null, "routing": routing,
        })
    );
}

fn guarded(answer: impl Fn(&Asked) -> Answer + Clone + Send + Sync + 'static) -> (Router, fake_api::Log) {
    let (client, log) = fake_api::client(answer);
    let admin = Admin {
        metrics: Arc::new(Metrics::new(view::empty())),
        readiness: Readiness::default(),
        serving: Installer::new(Arc::default(), StrategyMetrics::default()).serving(),
        view: view::empty(),
        targets: watch::channel(Arc::default()).1,
        decisions: Decisions::default(),
    };
    (admin.router(Some(Arc::new(auth::Auth::new(client)))), log)
}

const GUARDED: [&str; 4] = ["/metrics", "/debug/strategy", "/debug/endpoints", "/debug/decisions"];
const WHO: &str = "POST /apis/authentication.k8s.io/v1/tokenreviews?";
const MAY: &str = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews?";

/// An API server that knows the token `prometheus`, and lets it see all but debug pages.
fn knows_prometheus(asked: &Asked) -> Answer {
    match asked.what.as_str() {
        WHO if asked.body["spec"]["token"] == "prometheus" => Answer::Object(json!({"status": {
            "authenticated": true,
            "user": {"username": "prometheus", "uid": "u1", "groups": ["scrapers"], "extra": {"pod": ["p"]}},
        }})),
        WHO => Answer::Object(json!({"status": {"authenticated": false}})),
        MAY => {
            let path = &asked.body["spec"]["nonResourceAttributes"]["path"];
            Answer::Object(json!({"status": {"allowed": path == "/metrics"}}))
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_bearer_that_may_sees_the_page() {
    let (router, log) = guarded(knows_prometheus);
    let (status, page) = get_as(&router, "/metrics", Some("Bearer prometheus")).await;
    assert_eq!((status, page.ends_with("# EOF\n")), (200, true));
    let mut asked = log.lock().unwrap().clone();
    for review in &mut asked {
        let body = review.body.as_object_mut().unwrap();
        body.retain(|field, _| field == "spec" || field == "kind");
    }
    let asked: Vec<_> = asked.into_iter().map(|review| (review.what, review.body)).collect();
    let may = json!({"kind": "SubjectAccessReview", "spec": {
        "user": "prometheus",
        "uid": "u1",
        "groups": ["scrapers"],
        "extra": {"pod": ["p"]},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }});
    assert_eq!(
        asked,
        [
            (WHO.to_owned(), json!({"kind": "TokenReview", "spec": {"token": "prometheus"}})),
            (MAY.to_owned(), may)
        ]
    );
}

#[tokio::test]
async fn others_see_no_guarded_page() {
    let (router, log) = guarded(knows_prometheus);
    for path in GUARDED {
        for (authorization, expected) in [
            (None, (401, "a bearer token is needed\n")),
            (Some("Basic cHJvbWV0aGV1cw=="), (401, "a bearer token is needed\n")),
            (Some("Bearer made-up"), (401, "the token is not valid\n")),
        ] {
            let (status, text) = get_as(&router, path, authorization).await;
            assert_eq!((status, text.as_str()), expected, "{path} {authorization:?}");
        }
    }
    // Whoever may see one page may not see all.
    for path in &GUARDED[1..] {
        let forbidden = (403, "the bearer may not get this path\n".to_owned());
        assert_eq!(get_as(&router, path, Some("Bearer prometheus")).await, forbidden, "{path}");
    }
    // Probes have no token, and nobody is asked for them.
    let asked = log.lock().unwrap().len();
    assert_eq!(get(&router, "/healthz").await.0, 200);
    assert_eq!(get(&router, "/readyz").await.0, 503);
    assert_eq!(log.lock().unwrap().len(), asked);
}

#[tokio::test]
async fn when_the_api_server_fails_nobody_sees_a_guarded_page() {
    let (router, _) = guarded(|_| Answer::Error(500));
    for path in GUARDED {
        let failed = (503, "the API server can't say who may see this\n".to_owned());
        assert_eq!(get_as(&router, path, Some("Bearer prometheus")).await, failed, "{path}");
    }
}
