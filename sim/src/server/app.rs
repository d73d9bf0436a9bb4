//! The routes of a model server, and what they share.

use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::ServerConfig;
use super::driver::EngineHandle;
use super::error::ApiError;
use super::faults::{FaultConfig, Lots};
use super::identity::{Identity, sign};
use super::models::Models;
use super::{admin, generate, metrics, models};

/// The version of vLLM whose answers these are like.
const VERSION: &str = "0.11.0";

/// Longest request body in bytes.
const MAX_BODY: usize = 64 << 20;

/// What the handlers of one server share.
#[derive(Debug)]
pub(super) struct App {
    pub config: ServerConfig,
    pub identity: Identity,
    pub models: Models,
    pub engine: EngineHandle,
    pub lots: Lots,
    pub tuning: RwLock<Tuning>,
    /// When the delay of the start is over.
    pub ready_at: Instant,
    /// Unix time of the start in seconds.
    pub started: f64,
    /// Whether the server is ending.
    pub draining: watch::Receiver<bool>,
}

/// What can be changed while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tuning {
    /// How many times as fast as its rates the engine runs.
    pub speed: f64,
    #[serde(flatten)]
    pub faults: FaultConfig,
}

impl App {
    /// The failures in force.
    pub fn faults(&self) -> FaultConfig {
        // The lock is held for copies alone: it can't be poisoned by a panic in between.
        self.tuning.read().unwrap_or_else(std::sync::PoisonError::into_inner).faults
    }
}

/// The routes.
pub(super) fn router(app: Arc<App>) -> Router {
    let model_server = Router::new()
        .route("/v1/chat/completions", post(generate::chat))
        .route("/v1/completions", post(generate::completion))
        .route("/v1/models", get(models::list))
        .route("/health", get(health))
        .route("/metrics", get(metrics::page))
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
