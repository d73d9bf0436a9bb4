//! The page `/debug/explain`: where a request would go, which is its body.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::decisions::decision;
use crate::rehearsal::{Rehearsals, Tried, Untried};

/// The most bytes of a request to try, as JSON.
pub const MAX_TRIED: usize = 1 << 20;
/// The most requests that are tried at once, so that the memory for their bodies has a bound.
const AT_ONCE: usize = 2;
/// The longest that the body of one may take to come, and the decision to be made.
const DEADLINE: Duration = Duration::from_secs(5);

/// Tries requests. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Tries {
    rehearsals: Rehearsals,
    permits: Arc<Semaphore>,
}

impl Tries {
    pub(super) fn new(rehearsals: Rehearsals) -> Self {
        Self { rehearsals, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The decision about the request that is the body of `asked`.
    pub(super) async fn answer(self, asked: Request<Body>) -> Response {
        let Ok(_permit) = self.permits.try_acquire() else {
            return told(StatusCode::SERVICE_UNAVAILABLE, "other requests are tried now; try again later");
        };
        match timeout(DEADLINE, self.decided(asked.into_body())).await {
            Ok(Ok(page)) => Json(page).into_response(),
            Ok(Err((status, message))) => told(status, &message),
            Err(_) => told(StatusCode::REQUEST_TIMEOUT, "it took more than 5 seconds"),
        }
    }

    async fn decided(&self, body: Body) -> Result<Value, (StatusCode, String)> {
        let bad = |message: String| (StatusCode::BAD_REQUEST, message);
        let body = match Limited::new(body, MAX_TRIED).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("has more than {MAX_TRIED} bytes, with headers and body as JSON");
                return Err((StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            Err(error) => return Err(bad(format!("the body can't be read: {error}"))),
        };
        let tried: Tried = serde_json::from_slice(&body).map_err(|error| {
            // Without the text, which serde quotes in some of its messages.
            let at = format!("line {}, column {}", error.line(), error.column());
            bad(format!(
                "must be a JSON object with path, headers (a list of names with values) and body (a text); {at}"
            ))
        })?;
        match self.rehearsals.decide(tried).await {
            Ok(kept) => Ok(decision(&kept)),
            Err(Untried::Bad(message)) => Err(bad(message)),
            Err(other @ Untried::NoStrategy) => Err((StatusCode::SERVICE_UNAVAILABLE, other.to_string())),
        }
    }
}

fn told(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}
