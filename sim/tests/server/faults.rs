//! Failures on purpose, and changing them at run time.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{Api, config, start};

async fn ask(api: &Api, stream: bool) -> http::Response<hyper::body::Incoming> {
    api.open("/v1/completions", &json!({"prompt": "once", "max_tokens": 8, "stream": stream})).await
}

#[tokio::test]
async fn fails_with_the_status_asked_for_and_recovers() {
    let mut config = config();
    (config.faults.fail_rate, config.faults.fail_status) = (1.0, 503);
    let (_server, api) = start(config).await;
    let failed = ask(&api, false).await;
    assert_eq!(
        (failed.status(), failed.headers()["x-sim-pod"].to_str().unwrap()),
        (StatusCode::SERVICE_UNAVAILABLE, "pod-1")
    );
    assert_eq!(api.get("/health").await.status, StatusCode::OK);

    let changed = api.post("/admin/config", &json!({"fail_rate": 0, "speed": 10})).await;
    let expected =
        json!({"speed": 10.0, "fail_rate": 0.0, "fail_status": 503, "hang_rate": 0.0, "drop_rate": 0.0});
    assert_eq!((changed.json(), api.get("/admin/config").await.json()), (expected.clone(), expected));
    assert_eq!(ask(&api, false).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn refuses_changes_out_of_range() {
    let (_server, api) = start(config()).await;
    let before = api.get("/admin/config").await.json();
    for (change, message) in [
        (json!({"hang_rate": 2}), "hang_rate must be between 0 and 1, not 2"),
        (json!({"speed": 0}), "speed must be between 0.001 and 1000000, not 0"),
        (
            json!({"hang": 1}),
            "unknown field `hang`, expected one of `speed`, `fail_rate`, `fail_status`, `hang_rate`, `drop_rate` at \
             line 1 column 7",
        ),
    ] {
        let reply = api.post("/admin/config", &change).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["message"]),
            (StatusCode::BAD_REQUEST, &json!(message))
        );
    }
    assert_eq!(api.get("/admin/config").await.json(), before);
}

#[tokio::test(start_paused = true)]
async fn hangs_until_the_client_gives_up() {
    let mut config = config();
    config.faults.hang_rate = 1.0;
    let (_server, api) = start(config).await;
    assert!(tokio::time::timeout(Duration::from_secs(3_600), ask(&api, false)).await.is_err());
}

#[tokio::test]
async fn cuts_answers_off_in_the_middle() {
    let mut config = config();
    config.faults.drop_rate = 1.0;
    let (_server, api) = start(config).await;
    for stream in [true, false] {
        let response = ask(&api, stream).await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(!first.is_empty());
        let rest = body.collect().await;
        assert!(rest.is_err(), "{rest:?}");
    }
    api.until("vllm:num_requests_running{", 0.0).await;
}

#[tokio::test]
async fn slower_at_run_time() {
    let (_server, api) = start(config()).await;
    api.post("/admin/config", &json!({"speed": 0.05})).await;
    let begun = std::time::Instant::now();
    let answer: Value =
        serde_json::from_slice(&ask(&api, false).await.collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(answer["usage"]["completion_tokens"], 8);
    // Eight steps of 20 ms.
    assert!(begun.elapsed() >= Duration::from_millis(160));
}
