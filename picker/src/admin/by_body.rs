//! The pages of a process that routes by bodies: metrics, health and readiness.

use std::sync::Arc;

use axum::routing::get;
use axum::{Router, middleware};

use super::auth::{self, Auth};
use super::page::Page;
use super::ready_page;
use crate::metrics::{self, Metrics};
use crate::ready::Readiness;

/// The routes of the pages. With `auth`, metrics are for those that the API server allows.
pub fn by_body(metrics: Arc<Metrics>, readiness: Readiness, auth: Option<Arc<Auth>>) -> Router {
    let open = auth.is_none();
    let page = Page::new(metrics::CONTENT_TYPE, move || metrics.text().ok());
    let guarded = Router::new().route("/metrics", get(move || async move { page.get().await }));
    let guarded = match auth {
        Some(auth) => guarded.layer(middleware::from_fn_with_state(auth, auth::guard)),
        None => guarded,
    };
    guarded
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { ready_page(&readiness, open) }))
}
