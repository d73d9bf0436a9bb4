//! Errors in the shape of vLLM's.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::engine::SubmitError;

/// An error answer: `{"error": {"message", "type", "param", "code"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    param: Option<&'static str>,
    message: String,
}

impl ApiError {
    /// A request whose value of `param` can't be served.
    pub fn bad_request(param: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "BadRequestError", param, message: message.into() }
    }

    /// A body that is no request at all.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "Bad Request", param: None, message: message.into() }
    }

    pub fn unknown_model(model: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: "NotFoundError",
            param: Some("model"),
            message: format!("The model `{model}` does not exist."),
        }
    }

    /// A status without more to say, its reason phrase being message and type.
    pub fn plain(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        Self { status, kind: reason, param: None, message: reason.to_owned() }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let param = match error {
            SubmitError::EmptyPrompt => Some("prompt"),
            SubmitError::EmptyOutput => Some("max_tokens"),
            SubmitError::TooLong { .. } => Some("input_tokens"),
            SubmitError::NoLoras => Some("model"),
        };
        Self::bad_request(param, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = json!({
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.status.as_u16(),
        });
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}
