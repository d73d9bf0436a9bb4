//! The page `/debug/explain`: where a request would go, which is its body.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::decisions::decision;
use super::unread::held;
use crate::dry_run::{DryRunError, DryRunRequest, DryRuns};

/// The most bytes of the request of a dry run, as JSON.
pub const MAX_DRY_RUN: usize = 1 << 20;
/// The most dry runs at once, with those whose answers are not read yet: their bodies and answers take memory.
const AT_ONCE: usize = 2;
/// The longest that the body of one may take to come, and the decision to be made.
const DEADLINE: Duration = Duration::from_secs(5);

/// The page that does dry runs. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct DryRunPage {
    dry_runs: DryRuns,
    permits: Arc<Semaphore>,
}

impl DryRunPage {
    pub(super) fn new(dry_runs: DryRuns) -> Self {
        Self { dry_runs, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The decision about the request that is the body of `asked`.
    pub(super) async fn answer(self, asked: Request<Body>) -> Response {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return told(
                StatusCode::SERVICE_UNAVAILABLE,
                "as many dry runs as may are under way; try again later",
            );
        };
        match timeout(DEADLINE, self.decided(asked.into_body())).await {
            Ok(Ok(page)) => {
                ([(CONTENT_TYPE, "application/json")], held(page.to_string(), permit)).into_response()
            }
            Ok(Err((status, message))) => told(status, &message),
            Err(_) => told(StatusCode::REQUEST_TIMEOUT, "it took more than 5 seconds"),
        }
    }

    async fn decided(&self, body: Body) -> Result<Value, (StatusCode, String)> {
        let bad = |message: String| (StatusCode::BAD_REQUEST, message);
        let body = match Limited::new(body, MAX_DRY_RUN).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("has more than {MAX_DRY_RUN} bytes, with headers and body as JSON");
                return Err((StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            Err(error) => return Err(bad(format!("the body can't be read: {error}"))),
        };
        let tried: DryRunRequest = serde_json::from_slice(&body).map_err(|error| {
            // Without the text, which serde quotes in some of its messages.
            let at = format!("line {}, column {}", error.line(), error.column());
            bad(format!(
                "must be a JSON object with path, headers (a list of names with values) and body (a text); {at}"
            ))
        })?;
        match self.dry_runs.decide(tried) {
            Ok(kept) => Ok(decision(&kept)),
            Err(DryRunError::Bad(message)) => Err(bad(message)),
            Err(other @ DryRunError::NoStrategy) => Err((StatusCode::SERVICE_UNAVAILABLE, other.to_string())),
        }
    }
}

fn told(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}
