use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::fake_api::{self, Answer, Asked};
use crate::metrics::StrategyMetrics;
use crate::policies::Policies;
use crate::source::{Installer, Offer};
use crate::view;
use picker_core::config::Scope;

/// Dry runs with a strategy that reads no bodies, and no endpoints.
fn dry_runs() -> DryRuns {
    DryRuns { hot: Arc::default(), view: view::empty(), policies: Policies::default() }
}

fn admin() -> Admin {
    Admin {
        metrics: Arc::new(Metrics::new(view::empty())),
        readiness: Readiness::default(),
        serving: Installer::new(Arc::default(), StrategyMetrics::default()).serving(),
        view: view::empty(),
        targets: watch::channel(Arc::default()).1,
        decisions: Decisions::default(),
        dry_runs: dry_runs(),
        pool: Some("chat".to_owned()),
    }
}

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
        dry_runs: dry_runs(),
        pool: Some("chat".to_owned()),
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
    assert_eq!(
        get(&router, "/debug/decisions").await,
        (200, "{\"pool\":\"chat\",\"decisions\":[]}".to_owned())
    );

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
    (admin().router(Some(Arc::new(auth::Auth::new(client)))), log)
}

const GUARDED: [&str; 5] =
    ["/metrics", "/debug/strategy", "/debug/endpoints", "/debug/decisions", "/debug/explain"];
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

async fn post(router: &Router, body: impl Into<Body>) -> (u16, String) {
    let request = Request::post("/debug/explain").body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_request_is_tried() {
    let admin = admin();
    let router = admin.clone().router(None);
    let body = r#"{"headers": [["x-request-id", "id-1"]], "body": "a secret"}"#;
    let none = "no strategy serves yet; /debug/strategy says why\n";
    assert_eq!(post(&router, body).await, (503, none.to_owned()));
    let routing = json!({"plugins": [{"type": "random-picker"}], "explain": {"samplePercent": 100}});
    admin.dry_runs.hot.offer(&routing, Scope::File);
    let (status, page) = post(&router, body).await;
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!((status, &page["requestId"], &page["refused"]), (200, &json!("id-1"), &json!("no-endpoints")));
    // It is not among what was kept, nor counted.
    assert!(admin.decisions.kept().is_empty());
    let (_, metrics) = get(&router, "/metrics").await;
    assert!(!metrics.contains("no-endpoints"), "{metrics}");
    let (status, text) = post(&router, r#"{"body": "a secret", "bodies": 1}"#).await;
    assert_eq!(
        (status, text.contains("secret"), text.starts_with("must be a JSON object")),
        (400, false, true)
    );
    let long = format!(r#"{{"body": "{}"}}"#, "x".repeat(1 << 20));
    let (status, text) = post(&router, long).await;
    assert_eq!(
        (status, text.as_str()),
        (413, "has more than 1048576 bytes, with headers and body as JSON\n")
    );
    assert_eq!(get(&router, "/debug/explain").await.0, 405);
}

/// Bodies that don't come keep others waiting no longer than a few seconds, and no more of them than a few take memory.
#[tokio::test(start_paused = true)]
async fn who_sends_a_request_slowly_is_cut_off() {
    let router = admin().router(None);
    let slow = || {
        post(&router, Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>()))
    };
    let (first, second) = (slow(), slow());
    let third = async {
        tokio::task::yield_now().await;
        post(&router, "{}").await
    };
    let answers = tokio::join!(first, second, third);
    assert_eq!((answers.0.0, answers.1.0, answers.2.0), (408, 408, 503));
    assert_eq!(post(&router, "{").await.0, 400);
}

#[tokio::test]
async fn decisions_are_shown_by_request_and_pool() {
    let admin = admin();
    let router = admin.clone().router(None);
    for n in 0..40 {
        let id = if n % 2 == 0 { "a b&c" } else { "other" };
        let headers = vec![("x-request-id".into(), bytes::Bytes::from(id))];
        let request = picker_core::Request {
            headers: picker_core::request::Headers(headers),
            ..picker_core::Request::default()
        };
        let (outcome, took) = (Err("no-endpoints"), std::time::Duration::from_micros(n));
        let made = |places| {
            crate::decisions::Kept::of(&request, "r".into(), outcome, took, Default::default(), places)
        };
        admin.decisions.keep(&picker_core::View::empty(), made);
    }
    let page = |path: &'static str| {
        let router = &router;
        async move {
            let (status, text) = get(router, path).await;
            let page: Value = serde_json::from_str(&text).unwrap_or_default();
            let took = page["decisions"].as_array().cloned().unwrap_or_default();
            let took: Vec<_> =
                took.iter().map(|one| one["tookMicroseconds"].as_f64().unwrap() as u64).collect();
            (status, took)
        }
    };
    assert_eq!(page("/debug/decisions").await, (200, (0..40).rev().collect()));
    let newest: Vec<u64> = (8..40).rev().filter(|n| n % 2 == 0).collect();
    assert_eq!(page("/debug/decisions?request-id=a%20b%26c&pool=chat").await, (200, newest));
    assert_eq!(page("/debug/decisions?request-id=a").await, (200, vec![]));
    assert_eq!(page("/debug/decisions?pool=chat").await.1.len(), 40);
    assert_eq!(page("/debug/decisions?pool=other").await.0, 404);
    assert_eq!(page("/debug/decisions?id=a").await.0, 400);
}

/// The subcommand against the pages, over a connection.
#[tokio::test]
async fn a_live_picker_is_asked() {
    use clap::Parser;
    let admin = admin();
    let routing = json!({"plugins": [{"type": "random-picker"}]});
    admin.dry_runs.hot.offer(&routing, Scope::File);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(server::run(listener, admin.router(None)));
    let explain = |line: Vec<&'static str>| {
        let line: Vec<String> = line.into_iter().map(str::to_owned).collect();
        let address = address.clone();
        async move {
            let words = ["picker", "explain", "--address", &address].map(str::to_owned);
            let cli = crate::args::Cli::try_parse_from(words.into_iter().chain(line)).unwrap();
            let Some(crate::args::Command::Explain(args)) = cli.command else { panic!() };
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let code = crate::explain::run(&args, &mut out, &mut err).await;
            (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
        }
    };
    let (code, out, err) = explain(vec!["--header", "x-request-id: id-1", "-o", "json"]).await;
    let page: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str(), &page[0]["requestId"]), (0, "", &json!("id-1")));
    let (code, out, _) = explain(vec!["--path", "/v1/completions"]).await;
    assert_eq!((code, out.contains("refused    no-endpoints")), (0, true), "{out}");
    let (code, out, err) = explain(vec!["id-1"]).await;
    assert_eq!((code, out.as_str(), err.starts_with("the picker kept no decision")), (1, "", true));
    let (code, _, err) = explain(vec!["--path", "v1"]).await;
    assert_eq!((code, err.as_str()), (2, "the picker answers 400 Bad Request: path: must begin with /\n"));
    served.abort();
    let _ = served.await;
    let (code, _, err) = explain(vec!["id-1"]).await;
    assert_eq!((code, err.contains("kubectl port-forward")), (2, true), "{err}");
}
