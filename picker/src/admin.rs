//! The HTTP pages for people and monitoring: metrics, health, readiness, the strategy and the endpoints.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use picker_core::Endpoint;
use picker_core::column::Column;
use picker_core::health::Phase;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

pub mod auth;
pub mod server;
#[cfg(test)]
mod tests;

use crate::metrics::{self, Metrics};
use crate::ready::{self, Readiness};
use crate::source::Serving;
use crate::view::SharedView;

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
}

impl Admin {
    /// The routes of the pages. With `auth`, metrics and debug pages are for those that the API server allows, and that of
    /// readiness says no more than whether the picker is ready: what is wrong with a routing quotes it.
    pub fn router(self, auth: Option<Arc<auth::Auth>>) -> Router {
        let open = auth.is_none();
        let guarded = Router::new()
            .route("/metrics", get(metrics_page))
            .route("/debug/strategy", get(strategy_page))
            .route("/debug/endpoints", get(endpoints_page));
        let guarded = match auth {
            Some(auth) => guarded.layer(middleware::from_fn_with_state(auth, auth::guard)),
            None => guarded,
        };
        guarded
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(move |state| ready_page(state, open)))
            .with_state(self)
    }
}

async fn metrics_page(State(admin): State<Admin>) -> Response {
    match admin.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ready_page(State(admin): State<Admin>, open: bool) -> Response {
    match admin.readiness.state() {
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

async fn strategy_page(State(admin): State<Admin>) -> Json<Value> {
    let serving = admin.serving.borrow();
    Json(json!({
        "revision": serving.revision,
        "since": serving.since.and_then(timestamp),
        "resets": serving.resets,
        "offered": serving.offered,
        "generation": serving.generation,
        "error": serving.error,
        "routing": serving.routing,
    }))
}

fn timestamp(time: SystemTime) -> Option<String> {
    jiff::Timestamp::try_from(time).ok().map(|time| time.to_string())
}

/// The health of an endpoint; with what is said against it, unless it is healthy.
fn health(endpoint: &Endpoint, now: Instant) -> Value {
    let status = endpoint.health().status(now);
    match status.phase {
        Phase::Healthy => json!({"state": status.phase.name()}),
        phase => json!({
            "state": phase.name(),
            "reason": status.reason.name(),
            "sinceSeconds": status.since.as_secs_f64(),
        }),
    }
}

async fn endpoints_page(State(admin): State<Admin>) -> Json<Value> {
    let (view, now) = (admin.view.load(), Instant::now());
    let number = |figure: f32| if figure.is_nan() { Value::Null } else { json!(figure) };
    let plan = admin.serving.borrow().scrape.clone();
    let attributes = plan.as_deref().map_or(&[][..], |plan| &plan.attributes);
    let endpoints = view.endpoints.iter().enumerate().map(|(i, endpoint)| {
        let lora = view.lora[i].as_deref();
        let mut page = json!({
            "name": endpoint.name,
            "pod": endpoint.pod,
            "namespace": endpoint.namespace,
            "uid": endpoint.id.pod_uid,
            "address": endpoint.destination,
            "rank": endpoint.id.rank,
            "slot": endpoint.slot,
            "labels": endpoint.labels,
            "inFlight": endpoint.live().in_flight(),
            "health": health(endpoint, now),
            "waiting": number(view.column(Column::WAITING)[i]),
            "running": number(view.column(Column::RUNNING)[i]),
            "kvUsage": number(view.column(Column::KV_USAGE)[i]),
            "blockSize": view.block_size[i],
            "blocks": view.num_blocks[i],
            "lora": lora.map(|l| json!({"max": l.max, "running": l.running, "waiting": l.waiting})),
        });
        if !attributes.is_empty() {
            let attributes =
                attributes.iter().map(|(name, column)| (name.clone(), number(view.column(*column)[i])));
            page["attributes"] = attributes.collect::<Map<_, _>>().into();
        }
        page
    });
    Json(json!({"endpoints": endpoints.collect::<Vec<_>>()}))
}
