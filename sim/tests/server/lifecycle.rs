//! Slow starts and graceful ends.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::json;
use sim::server::Drain;

use crate::support::{Reply, config, start};

fn endless() -> serde_json::Value {
    json!({"prompt": "x", "max_tokens": 100_000, "ignore_eos": true, "stream": true})
}

#[tokio::test(start_paused = true)]
async fn is_unavailable_until_it_has_started() {
    let mut config = config();
    config.startup_delay = Duration::from_secs(3_600);
    let (_server, api) = start(config).await;
    for path in ["/health", "/v1/models", "/metrics"] {
        assert_eq!(api.get(path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    for path in ["/ping", "/version", "/admin/config"] {
        assert_eq!(api.get(path).await.status, StatusCode::OK, "{path}");
    }
    tokio::time::advance(Duration::from_secs(3_600)).await;
    for path in ["/health", "/v1/models", "/metrics"] {
        assert_eq!(api.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn ends_when_its_last_stream_has() {
    let (server, api) = start(config()).await;
    let running = json!({"prompt": "x", "max_tokens": 400, "ignore_eos": true, "stream": true});
    let response = api.open("/v1/completions", &running).await;
    let drain = Drain { grace: Duration::from_millis(100), timeout: Duration::from_secs(60) };
    let drained = tokio::spawn(server.drain(drain));
    let unready = async { while api.get("/health").await.status != StatusCode::SERVICE_UNAVAILABLE {} };
    tokio::time::timeout(Duration::from_secs(10), unready).await.unwrap();
    // Within the grace it still serves.
    assert_eq!(api.post("/v1/completions", &json!({"prompt": "y"})).await.status, StatusCode::OK);

    assert_eq!(Reply::read(response).await.events().len(), 400);
    assert!(drained.await.unwrap());
    assert!(!api.accepts().await);
}

#[tokio::test]
async fn cuts_off_what_outlasts_the_timeout() {
    let (server, api) = start(config()).await;
    let response = api.open("/v1/completions", &endless()).await;
    assert!(!server.drain(Drain { grace: Duration::ZERO, timeout: Duration::from_millis(50) }).await);
    assert!(response.into_body().collect().await.is_err());
    assert!(!api.accepts().await);
}
