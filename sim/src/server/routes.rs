//! The routes of a model server.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::app::App;
use super::error::ApiError;
use super::{admin, generate, metrics};

/// The version of vLLM whose answers these are like.
const VERSION: &str = "0.11.0";

/// Longest request body in bytes.
const MAX_BODY: usize = 64 << 20;

/// The router of the model server `app`.
pub(super) fn router(app: Arc<App>) -> Router {
    let model_server = Router::new()
        .route("/v1/chat/completions", post(generate::chat))
        .route("/v1/completions", post(generate::completion))
        .route("/v1/models", get(models))
        .route("/health", get(health))
        .route("/metrics", get(metrics::page))
        // Where vLLM has the part that is asked for.
        .route("/metrics/", get(metrics::part))
        // Where trtllm-serve has it.
        .route("/prometheus/metrics", get(metrics::page))
        .layer(from_fn_with_state(app.clone(), once_started));
    let always = Router::new()
        .route("/version", get(async || axum::Json(json!({"version": VERSION}))))
        .route("/ping", get(ping).post(ping))
        .route("/admin/config", get(admin::show).post(admin::change));
    model_server
        .merge(always)
        .fallback(async || ApiError::plain(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || ApiError::plain(StatusCode::METHOD_NOT_ALLOWED))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(map_response_with_state(app.clone(), sign))
        .with_state(app)
}

async fn once_started(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if Instant::now() < app.ready_at {
        return ApiError::plain(StatusCode::SERVICE_UNAVAILABLE).into_response();
    }
    next.run(request).await
}

async fn health(State(app): State<Arc<App>>) -> StatusCode {
    if *app.draining.borrow() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn ping() -> StatusCode {
    StatusCode::OK
}

/// `GET /v1/models`
async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.models.list(app.config.engine.context_limit()))
}

/// Names the server in every response.
async fn sign(State(app): State<Arc<App>>, mut response: Response) -> Response {
    app.identity.sign(response.headers_mut());
    response
}
