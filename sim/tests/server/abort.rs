//! Clients that go away.

use http_body_util::BodyExt;
use serde_json::json;

use crate::support::{config, start};

fn endless(stream: bool) -> serde_json::Value {
    json!({"prompt": "x", "max_tokens": 100_000, "ignore_eos": true, "stream": stream})
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_aborts_its_sequence() {
    let (_server, api) = start(config()).await;
    let mut response = api.open("/v1/completions", &endless(true)).await;
    response.body_mut().frame().await.unwrap().unwrap();
    api.until("vllm:num_requests_running{", 1.0).await;
    drop(response);
    api.until("vllm:num_requests_running{", 0.0).await;
    assert_eq!(api.metric("vllm:kv_cache_usage_perc").await, 0.0);
    let aborted = r#"vllm:request_success_total{engine="0",model_name="m",finished_reason="abort"}"#;
    assert_eq!(api.metric(aborted).await, 1.0);
}

#[tokio::test]
async fn a_client_that_waits_no_longer_aborts_its_sequence() {
    let (_server, api) = start(config()).await;
    let (asking, asked) = (api.clone(), endless(false));
    let request = tokio::spawn(async move { asking.post("/v1/completions", &asked).await.status });
    api.until("vllm:num_requests_running{", 1.0).await;
    request.abort();
    api.until("vllm:num_requests_running{", 0.0).await;
}
