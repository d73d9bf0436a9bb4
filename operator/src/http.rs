//! The HTTP server of the health probes and the metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// The health of the operator, as the probes ask for it.
pub trait Health: Send + Sync + 'static {
    /// Whether the caches are filled, so that this process could lead.
    fn ready(&self) -> bool;
    /// Whether work makes progress.
    fn live(&self) -> bool;
}

#[derive(Clone)]
struct Shared {
    health: Arc<dyn Health>,
    metrics: Arc<Metrics>,
}

/// Serves `/livez`, `/readyz` and `/metrics` until the future is dropped.
///
/// # Errors
/// When the address can't be listened on.
pub async fn serve(listen: SocketAddr, health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    axum::serve(listener, router(health, metrics)).await.context("the health server ended")
}

fn router(health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(|State(s): State<Shared>| async move { answer(s.health.live(), "no progress") }))
        .route(
            "/readyz",
            get(|State(s): State<Shared>| async move { answer(s.health.ready(), "caches not filled") }),
        )
        .route("/metrics", get(exposition))
        .with_state(Shared { health, metrics })
}

fn answer(good: bool, otherwise: &'static str) -> (StatusCode, &'static str) {
    if good { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, otherwise) }
}

async fn exposition(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.text())
}
