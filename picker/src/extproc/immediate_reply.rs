//! Refusing a request: the gateway answers the client in the picker's words.
//!
//! Why and in which words is in the table of [`picker_core::refusal`]. Access logs show `waypost_<reason>` as the details of
//! the response code.

use picker_core::{Refusal, RefusalKind};
use picker_proto::processing_response::Response;
use picker_proto::{HeaderMutation, HeaderValueOption, HttpStatus, ImmediateResponse};
use serde_json::json;

use super::reply::text;

/// The header that says why, by the name and, where it has one, with the value that llm-d gives it.
pub(super) const DROPPED: &str = "x-llm-d-request-dropped-reason";

/// The details of the response code of a refusal.
pub(super) fn details(kind: RefusalKind) -> String {
    format!("waypost_{}", kind.row().name)
}

/// The local reply to a refused request, with a body as OpenAI's clients read it.
pub(super) fn immediate_reply(refusal: &Refusal) -> Response {
    let row = refusal.kind.row();
    let body = json!({"error": {"message": refusal.message(), "type": row.error, "code": row.name}});
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
        body: body.to_string().into(),
        details: details(refusal.kind),
    })
}
