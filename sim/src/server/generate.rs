//! The handlers of both APIs: check, compute, answer whole or as a stream.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api::{Api, ChatRequest, CompletionRequest, Sampling};
use super::app::App;
use super::driver::{Generation, Submission};
use super::error::ApiError;
use super::faults::Fault;
use super::job::Job;
use super::models::unix_time;
use super::stream::{Events, connection_lost};

/// `POST /v1/chat/completions`
pub(super) async fn chat(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|error| refused_body(&error))?;
    let fault = suffer(&app).await?;
    let request: ChatRequest = parse(&headers, &body)?;
    let prompts = [request.prompt()?];
    let (job, sequences) = Job::new(&app, Api::Chat, &headers, parse(&headers, &body)?, &prompts)?;
    answer(&app, job, sequences, fault).await
}

/// `POST /v1/completions`
pub(super) async fn completion(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|error| refused_body(&error))?;
    let fault = suffer(&app).await?;
    let request: CompletionRequest = parse(&headers, &body)?;
    let sampling: Sampling = parse(&headers, &body)?;
    let (job, sequences) = Job::new(&app, Api::Completion, &headers, sampling, &request.prompts()?)?;
    answer(&app, job, sequences, fault).await
}

fn refused_body(error: &axum::extract::rejection::BytesRejection) -> ApiError {
    ApiError::plain(error.status())
}

/// Draws this request's lot. A hanging request stays here until its client gives up.
async fn suffer(app: &App) -> Result<Option<Fault>, ApiError> {
    let fault = app.lots.draw(&app.faults());
    match fault {
        Some(Fault::Fail(status)) => {
            Err(ApiError::plain(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)))
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Drop) | None => Ok(fault),
    }
}

fn parse<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::malformed("Unsupported Media Type: Only 'application/json' is allowed"));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::malformed(error.to_string()))
}

async fn answer(
    app: &App,
    job: Job,
    sequences: Vec<Submission>,
    fault: Option<Fault>,
) -> Result<Response, ApiError> {
    let cut = fault == Some(Fault::Drop);
    let generation = app.engine.submit(sequences, job.stream || cut);
    if job.stream {
        let events = Events::new(&job, &app.identity.name, generation, cut);
        let body = Body::from_stream(stream::unfold(events, Events::next));
        let headers =
            [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
        return Ok((headers, body).into_response());
    }
    whole(app, &job, generation, cut).await
}

async fn whole(app: &App, job: &Job, mut generation: Generation, cut: bool) -> Result<Response, ApiError> {
    let mut cached = vec![0; job.answers.len()];
    while let Some(progress) = generation.next().await {
        if cut {
            drop(generation);
            let part = stream::once(async { Ok(Bytes::from_static(b"{\"id\":\"")) });
            let body = Body::from_stream(part.chain(stream::once(async { Err(connection_lost().await) })));
            return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
        }
        cached[progress.sequence] = progress.cached_tokens;
    }
    if !generation.is_finished() {
        return Err(ApiError::plain(StatusCode::SERVICE_UNAVAILABLE));
    }
    let choices: Vec<Value> = (0..job.answers.len()).map(|index| choice(job, index)).collect();
    let mut answer = json!({
        "id": job.id,
        "object": job.api.object(false),
        "created": unix_time().as_secs(),
        "model": job.model,
        "choices": choices,
        "service_tier": null,
        "system_fingerprint": app.identity.name,
        "usage": job.usage(cached.iter().sum()),
        "kv_transfer_params": null,
    });
    if job.api == Api::Chat {
        answer["prompt_logprobs"] = Value::Null;
        answer["prompt_token_ids"] = Value::Null;
    }
    Ok(axum::Json(answer).into_response())
}

fn choice(job: &Job, index: usize) -> Value {
    let answer = &job.answers[index];
    let mut text = String::with_capacity(answer.tokens as usize * crate::vocabulary::TOKEN_BYTES);
    answer.text(0, answer.tokens, &mut text);
    match job.api {
        Api::Chat => json!({
            "index": index,
            "message": {
                "role": "assistant",
                "content": text,
                "refusal": null,
                "annotations": null,
                "audio": null,
                "function_call": null,
                "tool_calls": [],
                "reasoning_content": null,
            },
            "logprobs": null,
            "finish_reason": answer.finish_reason,
            "stop_reason": answer.stop_reason,
            "token_ids": null,
        }),
        Api::Completion => json!({
            "index": index,
            "text": text,
            "logprobs": null,
            "finish_reason": answer.finish_reason,
            "stop_reason": answer.stop_reason,
            "token_ids": null,
            "prompt_logprobs": null,
            "prompt_token_ids": null,
        }),
    }
}
