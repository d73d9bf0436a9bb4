//! Refusing a request: the gateway answers the client in the picker's words.
//!
//! Why and in which words is in the table of [`picker_core::refusal`]. Access logs show `waypost_<reason>` as the details of
//! the response code.

use picker_core::{Refusal, RefusalKind};
use picker_proto::processing_response::Response;
use picker_proto::{HeaderMutation, HeaderValueOption, HttpStatus, ImmediateResponse};
use serde_json::{Value, json};

use super::reply::text;

/// The header that says why, by the name and, where it has one, with the value that llm-d gives it.
pub(super) const DROPPED: &str = "x-llm-d-request-dropped-reason";

/// The details of the response code of a refusal.
pub(super) fn details(kind: RefusalKind) -> String {
    format!("waypost_{}", kind.row().name)
}

/// The body of the reply, as the API's clients read it: OpenAI's (with the code, as it has them), or Anthropic's.
fn body(refusal: &Refusal) -> Value {
    let (row, message) = (refusal.kind.row(), refusal.message());
    if !refusal.to_anthropic {
        return json!({"error": {"message": message, "type": row.error, "code": row.name}});
    }
    // https://docs.anthropic.com/en/api/errors
    let kind = match row.status {
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message, "code": row.name}})
}

/// The local reply to a refused request.
pub(super) fn immediate_reply(refusal: &Refusal) -> Response {
    let row = refusal.kind.row();
    let mut set_headers = vec![
        HeaderValueOption::overwrite(DROPPED, text(row.dropped)),
        HeaderValueOption::overwrite("content-type", text("application/json")),
    ];
    if let Some(after) = row.retry_after {
        let seconds = after.as_secs().max(1).to_string();
        set_headers.push(HeaderValueOption::overwrite("retry-after", seconds));
    }
    Response::ImmediateResponse(ImmediateResponse {
        status: Some(HttpStatus { code: row.status.into() }),
        headers: Some(HeaderMutation { set_headers, remove_headers: Vec::new() }),
        body: body(refusal).to_string().into(),
        details: details(refusal.kind),
    })
}
