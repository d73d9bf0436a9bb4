//! The page itself.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::text::Text;
use super::{MetricsDialect, Snapshot, sglang, triton, trtllm, vllm};
use crate::server::app::App;
use crate::server::config::ServerConfig;
use crate::server::error::ApiError;

/// `GET /metrics`
pub(in crate::server) async fn page(State(app): State<Arc<App>>) -> Response {
    let Some(snapshot) = app.engine.snapshot().await else {
        return ApiError::plain(StatusCode::SERVICE_UNAVAILABLE).into_response();
    };
    let body = render(&app.config, &snapshot, app.started);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response()
}

/// `GET /metrics/?name[]=…`, the samples of these names; all without any. As Python's client library has it in a server of one
/// process. The other engines gather their metrics from several, and find none by its name.
pub(in crate::server) async fn part(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let names: Vec<_> =
        query.iter().flat_map(|query| query.split('&')).filter_map(|q| q.strip_prefix("name[]=")).collect();
    let Some(snapshot) = app.engine.snapshot().await else {
        return ApiError::plain(StatusCode::SERVICE_UNAVAILABLE).into_response();
    };
    let mut body = render(&app.config, &snapshot, app.started);
    if !names.is_empty() {
        let one_process = app.config.metrics.dialect == MetricsDialect::Vllm;
        body = if one_process { only(&body, &names) } else { String::new() };
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response()
}

/// The lines of `page` about these `names`.
fn only(page: &str, names: &[&str]) -> String {
    let name = |line: &&str| {
        let line = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
        names.contains(&line.split(['{', ' ']).next().unwrap_or_default())
    };
    page.lines().filter(name).flat_map(|line| [line, "\n"]).collect()
}

/// The metrics of `snapshot`; `started` is the Unix time of the server's start in seconds.
fn render(config: &ServerConfig, snapshot: &Snapshot, started: f64) -> String {
    let write = match config.metrics.dialect {
        MetricsDialect::Vllm => vllm::write,
        MetricsDialect::Sglang => sglang::write,
        MetricsDialect::Trtllm => trtllm::write,
        MetricsDialect::Triton => triton::write,
    };
    let labels: &[(&str, &str)] = match config.metrics.dialect {
        MetricsDialect::Vllm => &[("engine", "0"), ("model_name", &config.model)],
        MetricsDialect::Sglang => {
            &[("engine_type", "unified"), ("model_name", &config.model), ("pp_rank", "0"), ("tp_rank", "0")]
        }
        MetricsDialect::Trtllm => &[("engine_type", "undefined"), ("model_name", &config.model)],
        MetricsDialect::Triton => &[("model", "tensorrt_llm"), ("version", "1")],
    };
    let mut text = Text::new(config.metrics.untyped, labels, started);
    write(config, snapshot, &mut text);
    text.pad(config.metrics.padding);
    text.finish()
}
