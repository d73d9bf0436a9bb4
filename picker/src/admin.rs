//! The HTTP pages for people and monitoring: metrics, health, readiness, the strategy and the endpoints.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde_json::{Value, json};
use tokio::sync::watch;

pub mod auth;
mod by_body;
mod decisions;
mod endpoints;
mod explain;
mod lane;
mod page;
pub mod server;
#[cfg(test)]
mod tests;
mod timestamp;
mod unread;
mod write_deadline;

pub use by_body::by_body;
use decisions::Filter;
use explain::DryRunPage;
use lane::Lane;
use page::Page;
use timestamp::timestamp;
use unread::held;

use crate::decisions::Decisions;
use crate::dry_run::DryRuns;
use crate::metrics::{self, Metrics};
use crate::ready::{self, Readiness};
use crate::source::Serving;
use crate::view::SharedView;
use crate::watch::endpoint_set::Target;

/// Content type of the debug pages.
const JSON: &str = "application/json";

/// The state that the pages show.
#[derive(Clone, Debug)]
pub struct Admin {
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the picker is ready.
    pub readiness: Readiness,
    /// The strategy that serves.
    pub serving: watch::Receiver<Serving>,
    /// The endpoints.
    pub view: SharedView,
    /// What was read of them.
    pub targets: watch::Receiver<Arc<[Target]>>,
    /// The decisions that are kept.
    pub decisions: Decisions,
    /// What dry runs are done with.
    pub dry_runs: DryRuns,
    /// Name of the pool, if there is one.
    pub pool: Option<String>,
}

impl Admin {
    /// The routes of the pages. With `auth`, metrics and debug pages are for those that the API server allows, and that of
    /// readiness says no more than whether the picker is ready: what is wrong with a routing quotes it.
    pub fn router(self, auth: Option<Arc<auth::Auth>>) -> Router {
        let open = auth.is_none();
        let page = |content_type, make: fn(&Self) -> Option<String>| {
            let admin = self.clone();
            let page = Page::new(content_type, move || make(&admin));
            get(move || async move { page.get().await })
        };
        let all = self.clone();
        let all =
            Page::new(JSON, move || Some(decisions::page(all.pool.as_deref(), &all.decisions).to_string()));
        let pages = (all, Lane::default());
        let decisions = move |State(admin): State<Self>, filter| decisions_page(admin, pages.clone(), filter);
        let dry_runs = DryRunPage::new(self.dry_runs.clone());
        let guarded = Router::new()
            .route("/metrics", page(metrics::CONTENT_TYPE, |admin| admin.metrics.text().ok()))
            .route("/debug/strategy", page(JSON, |admin| Some(strategy_page(admin).to_string())))
            .route("/debug/endpoints", page(JSON, |admin| Some(endpoints_page(admin).to_string())))
            .route("/debug/decisions", get(decisions))
            .route("/debug/explain", post(move |asked| dry_runs.clone().answer(asked)));
        let guarded = match auth {
            Some(auth) => guarded.layer(middleware::from_fn_with_state(auth, auth::guard)),
            None => guarded,
        };
        guarded
            .route("/healthz", get(|| async { "ok\n" }))
            .route(
                "/readyz",
                get(move |State(admin): State<Self>| async move { ready_page(&admin.readiness, open) }),
            )
            .with_state(self)
    }
}

fn ready_page(readiness: &Readiness, open: bool) -> Response {
    match readiness.state() {
        ready::State::Ready => "ok\n".into_response(),
        ready::State::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
        ready::State::Starting(missing) => {
            let text = if open {
                format!("not ready, waiting for:\n{}\n", missing.join("\n"))
            } else {
                "not ready; the log says why\n".to_owned()
            };
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// The decisions that are kept, or those that `filter` asks for.
async fn decisions_page(
    admin: Admin,
    (all, lane): (Page, Lane),
    filter: Result<Query<Filter>, QueryRejection>,
) -> Response {
    let Ok(Query(Filter { request_id, pool })) = filter else {
        let message = "takes request-id and pool, each once, and nothing else\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    if pool.is_some() && pool != admin.pool {
        return (StatusCode::NOT_FOUND, "this picker has no such pool\n").into_response();
    }
    match request_id {
        None => all.get().await,
        Some(id) => {
            let make =
                move || decisions::of_request(admin.pool.as_deref(), &admin.decisions, &id).to_string();
            match lane.make(make).await {
                Some((text, unread)) => ([(header::CONTENT_TYPE, JSON)], held(text, unread)).into_response(),
                None => (StatusCode::SERVICE_UNAVAILABLE, "too many ask; try again later\n").into_response(),
            }
        }
    }
}

fn strategy_page(admin: &Admin) -> Value {
    let serving = admin.serving.borrow();
    json!({
        "revision": serving.revision,
        "since": serving.since.and_then(timestamp),
        "resets": serving.resets,
        "offered": serving.offered,
        "generation": serving.generation,
        "error": serving.error,
        "routing": serving.routing,
    })
}

fn endpoints_page(admin: &Admin) -> Value {
    let targets = admin.targets.borrow().clone();
    endpoints::page(&admin.view.load(), &targets, &admin.serving.borrow())
}
