//! Refusing a request: the gateway answers the client in the picker's words.
//!
//! | status | `x-llm-d-request-dropped-reason` | when |
//! |---|---|---|
//! | 503 | `rejected-no-endpoints` | no endpoint is ready, or none of those that the gateway allows |
//! | 429 | `rejected-saturated` | there are endpoints, and the filters took all of them out |
//! | 400 | `rejected-bad-body` | path and content type claim a known JSON format, and the body is not of it |
//! | 408 | `rejected-body-too-slow` | a part of the body is held for a decision, and the rest doesn't come in time |
//! | 413 | `rejected-body-too-large` | the body is longer than the limit |
//! | 503 | `rejected-overloaded` | the bodies that are held for decisions are longer than the limit of all together |
//! | 503 | `rejected-no-strategy` | no strategy has been compiled yet |
//!
//! The first two are llm-d's. Access logs show `waypost_<reason>` as the details of the response code.

use picker_core::Refusal;
use picker_proto::processing_response::Response;
use picker_proto::{HeaderMutation, HeaderValueOption, HttpStatus, ImmediateResponse};
use serde_json::json;

use super::reply::text;
use crate::metrics::Reason;

/// The header that says why, by the name and, where it has one, with the value that llm-d gives it.
pub(super) const DROPPED: &str = "x-llm-d-request-dropped-reason";

/// Why a request is refused, and what its sender can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Abort {
    pub reason: Reason,
    message: String,
}

impl Abort {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            Reason::TooLarge,
            format!("the request body is longer than {limit} bytes; send a shorter one"),
        )
    }

    pub(super) fn too_slow() -> Self {
        Self::new(Reason::TooSlow, "the rest of the request body did not come in time; send it faster")
    }

    pub(super) fn overloaded() -> Self {
        Self::new(Reason::Overloaded, "too many large requests are being read; try again later")
    }

    pub(super) fn no_strategy() -> Self {
        Self::new(Reason::NoStrategy, "the endpoint picker has no routing strategy yet; try again shortly")
    }

    /// The local reply, with a body as OpenAI's clients read it.
    pub(super) fn response(&self) -> Response {
        let code = self.reason.status();
        let kind = if code < 500 && code != 429 { "invalid_request_error" } else { "server_error" };
        let body = json!({"error": {"message": self.message, "type": kind, "code": self.reason.name()}});
        let set_headers = vec![
            HeaderValueOption::overwrite(DROPPED, text(dropped(self.reason))),
            HeaderValueOption::overwrite("content-type", text("application/json")),
        ];
        Response::ImmediateResponse(ImmediateResponse {
            status: Some(HttpStatus { code: code.into() }),
            headers: Some(HeaderMutation { set_headers, remove_headers: Vec::new() }),
            body: body.to_string().into(),
            details: format!("waypost_{}", self.reason.name()),
        })
    }
}

impl From<Refusal> for Abort {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoEndpoints => {
                Self::new(Reason::NoEndpoints, "no model server is ready for this request; try again later")
            }
            Refusal::AllFiltered => {
                Self::new(Reason::AllFiltered, "no model server takes this request now; try again later")
            }
        }
    }
}

fn dropped(reason: Reason) -> &'static str {
    match reason {
        Reason::NoEndpoints => "rejected-no-endpoints",
        Reason::AllFiltered => "rejected-saturated",
        Reason::BadBody => "rejected-bad-body",
        Reason::TooLarge => "rejected-body-too-large",
        Reason::TooSlow => "rejected-body-too-slow",
        Reason::Overloaded => "rejected-overloaded",
        Reason::NoStrategy => "rejected-no-strategy",
        Reason::Routed | Reason::Nothing | Reason::ClientClosed | Reason::Protocol => reason.name(),
    }
}
