//! Dry runs: decisions about requests that no gateway sends, with what is known now. A dry run books and learns nothing, and is
//! counted nowhere.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use picker_core::refusal::RefusalKind;
use picker_core::request::{Headers, Request};
use picker_core::trace::Explain;
use picker_core::{Cx, Hot};
use serde::{Deserialize, Serialize};

use crate::decisions::{Kept, Places};
use crate::exchange::is_awaited;
use crate::policies::Policies;
use crate::view::SharedView;

#[cfg(test)]
mod tests;

/// The most headers of a request.
const MAX_HEADERS: usize = 256;

/// The request of a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DryRunRequest {
    /// Path of the request.
    #[serde(default = "default_path")]
    pub path: String,
    /// Names and values of headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(default)]
    pub body: String,
}

/// The path of a request for which none is named.
pub fn default_path() -> String {
    "/v1/chat/completions".to_owned()
}

/// The reason why there is no dry run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DryRunError {
    /// It is none.
    #[error("{0}")]
    Bad(String),
    /// No strategy serves yet.
    #[error("no strategy serves yet; /debug/strategy says why")]
    NoStrategy,
}

/// What dry runs are done with: the strategy and the endpoints of one pool.
#[derive(Clone, Debug)]
pub struct DryRuns {
    /// The strategy that serves.
    pub hot: Arc<Hot>,
    /// The endpoints.
    pub view: SharedView,
    /// What objects of the cluster say of requests.
    pub policies: Policies,
}

impl DryRuns {
    /// Decides where `tried` would go.
    ///
    /// # Errors
    /// When it is no request, or no strategy serves.
    pub fn decide(&self, tried: DryRunRequest) -> Result<Kept, DryRunError> {
        let strategy = self.hot.current().ok_or(DryRunError::NoStrategy)?;
        let (headers, mut body) = tried.into_parts()?;
        // As with other requests, it is not read for a strategy that reads none.
        if !self.policies.read_bodies(&strategy) || !is_awaited(strategy.formats, &headers) {
            body = Bytes::new();
        }
        let content = strategy.formats.parse(&headers, &body);
        let content = content.map_err(|bad| DryRunError::Bad(format!("the body: {bad}")))?;
        let mut request = Request { headers, body, content, ..Request::default() };
        let view = self.view.load_full();
        let (began, mut explain) = (Instant::now(), Explain::timed(Instant::now));
        let decided = self.policies.apply(&strategy, &mut request, &view);
        let decided = decided.and_then(|_| strategy.dry_run(&request, &view, &mut Cx::live(), &mut explain));
        let took = began.elapsed();
        let outcome = match decided {
            Ok(decision) => {
                let destination = decision.destination().map(|picked| picked[0]);
                destination.ok_or(RefusalKind::AllFiltered.row().name)
            }
            Err(refusal) => Err(refusal.kind.row().name),
        };
        let places = Arc::new(Places::of(&view));
        Ok(Kept::of(&request, strategy.revision.clone(), outcome, took, explain, places))
    }
}

impl DryRunRequest {
    /// Headers and body, as a gateway shows them.
    fn into_parts(self) -> Result<(Headers, Bytes), DryRunError> {
        let Self { path, headers, body } = self;
        let bad = |message: String| Err(DryRunError::Bad(message));
        if !path.starts_with('/') {
            return bad("path: must begin with /".to_owned());
        }
        if headers.len() > MAX_HEADERS {
            return bad(format!("headers: there may be {MAX_HEADERS} of them"));
        }
        let mut all = vec![(":method", "POST".to_owned()), (":path", path)];
        let names: Vec<String> = headers.iter().map(|(name, _)| name.trim().to_ascii_lowercase()).collect();
        for (n, (name, (_, value))) in names.iter().zip(headers).enumerate() {
            if name.is_empty() || name.starts_with(':') || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return bad(format!("headers[{n}]: {name:?} is no name of a header"));
            }
            all.push((name, value.trim().to_owned()));
        }
        if !body.is_empty() && !names.iter().any(|name| name == "content-type") {
            all.push(("content-type", "application/json".to_owned()));
        }
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let headers = all.into_iter().map(|(name, value)| (bytes(name), Bytes::from(value))).collect();
        Ok((Headers(headers), Bytes::from(body)))
    }
}
