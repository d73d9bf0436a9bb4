//! Refusing a request: one table with everything that clients, gateways, logs and metrics are told.
//!
//! The reasons `rejected-no-endpoints` and `rejected-saturated` are llm-d's.

use std::time::Duration;

use crate::parse;
use crate::request::Headers;

/// Why a request gets no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalKind {
    /// There is no ready endpoint, or none that the gateway allows.
    NoEndpoints,
    /// There are endpoints, and the filters removed all of them.
    AllFiltered,
    /// An admitter turned the request away, or its priority is below 0 and the endpoints are saturated.
    Shed,
    /// The request asks for a cached answer (`Prefer: if-available`), and nothing of its prompt is cached.
    NotCached,
    /// The request names a scheduling profile that the strategy doesn't have.
    UnknownProfile,
    /// The request names a model that no model server has.
    UnknownModel,
    /// The body is not what path and content type claim.
    BadBody,
    /// The body is longer than the limit, and such bodies are to be refused.
    TooLarge,
    /// The rest of a body that is waited for doesn't come.
    TooSlow,
    /// Headers and bodies of the requests that wait for their body or a decision have used up the budget for them
    /// (`--max-held-bytes`).
    Overloaded,
    /// No strategy has been compiled yet.
    NoStrategy,
}

/// What is told of one kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kind.
    pub kind: RefusalKind,
    /// Its name: label of metrics, code in the reply's body, and `waypost_<name>` in access logs.
    pub name: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Value of the header `x-llm-d-request-dropped-reason`.
    pub dropped: &'static str,
    /// After how long the client may try again, if that helps.
    pub retry_after: Option<Duration>,
    /// The type of error, as OpenAI's clients know it.
    pub error: &'static str,
    /// What is wrong and what to do, where nothing more precise is said.
    pub message: &'static str,
    /// When it happens, for documentation.
    pub when: &'static str,
}

const CLIENT: &str = "invalid_request_error";
const SERVER: &str = "server_error";

/// All refusals, in the order of [`RefusalKind`].
pub static TABLE: [Row; 11] = [
    Row {
        kind: RefusalKind::NoEndpoints,
        name: "no-endpoints",
        status: 503,
        dropped: "rejected-no-endpoints",
        retry_after: None,
        error: SERVER,
        message: "no model server is ready for this request; try again later",
        when: "no endpoint is ready, or none of those that the gateway allows",
    },
    Row {
        kind: RefusalKind::AllFiltered,
        name: "all-filtered",
        status: 429,
        dropped: "rejected-saturated",
        retry_after: None,
        error: SERVER,
        message: "no model server takes this request now; try again later",
        when: "there are endpoints, and the filters took all of them out",
    },
    Row {
        kind: RefusalKind::Shed,
        name: "shed",
        status: 429,
        dropped: "rejected-saturated",
        retry_after: Some(Duration::from_secs(1)),
        error: SERVER,
        message: "the model servers are saturated, and this request has a low priority; try again later",
        when: "an admitter turned the request away, or its priority is below 0 and the endpoints are saturated",
    },
    Row {
        kind: RefusalKind::NotCached,
        name: "not-cached",
        status: 412,
        dropped: "rejected-not-cached",
        retry_after: None,
        error: CLIENT,
        message: "no model server has anything of the prompt in its prefix cache; send the request without `Prefer: if-available`",
        when: "the request has `Prefer: if-available`, and the endpoint that was picked has nothing of its prompt in its prefix cache",
    },
    Row {
        kind: RefusalKind::UnknownProfile,
        name: "unknown-profile",
        status: 400,
        dropped: "rejected-unknown-profile",
        retry_after: None,
        error: CLIENT,
        message: "the request names a scheduling profile that does not exist",
        when: "a header names a scheduling profile that the strategy does not have",
    },
    Row {
        kind: RefusalKind::UnknownModel,
        name: "unknown-model",
        status: 404,
        dropped: "rejected-unknown-model",
        retry_after: None,
        error: CLIENT,
        message: "no model server has the model; ask for another one",
        when: "no model server lists the model, and the routing says `models.unknown: NotFound`",
    },
    Row {
        kind: RefusalKind::BadBody,
        name: "bad-body",
        status: 400,
        dropped: "rejected-bad-body",
        retry_after: None,
        error: CLIENT,
        message: "the request body is not what its path and content type say",
        when: "path and content type claim a known JSON format, and the body is not of it",
    },
    Row {
        kind: RefusalKind::TooLarge,
        name: "body-too-large",
        status: 413,
        dropped: "rejected-body-too-large",
        retry_after: None,
        error: CLIENT,
        message: "the request body is too long; send a shorter one",
        when: "the body is longer than the limit, and such bodies are to be refused",
    },
    Row {
        kind: RefusalKind::TooSlow,
        name: "body-too-slow",
        status: 408,
        dropped: "rejected-body-too-slow",
        retry_after: None,
        error: CLIENT,
        message: "the rest of the request body did not come in time; send it faster",
        when: "a decision waits for the body, and the rest of it doesn't come in time",
    },
    Row {
        kind: RefusalKind::Overloaded,
        name: "overloaded",
        status: 503,
        dropped: "rejected-overloaded",
        retry_after: None,
        error: SERVER,
        message: "too many large requests are being read; try again later",
        when: "requests that wait for their body or a decision take more memory than `--max-held-bytes` allows",
    },
    Row {
        kind: RefusalKind::NoStrategy,
        name: "no-strategy",
        status: 503,
        dropped: "rejected-no-strategy",
        retry_after: None,
        error: SERVER,
        message: "the endpoint picker has no routing strategy yet; try again shortly",
        when: "no strategy has been compiled yet",
    },
];

impl RefusalKind {
    /// What is told of it.
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

/// The refusal of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub kind: RefusalKind,
    /// Whether the client reads errors as those of Anthropic's Messages API; else as those of OpenAI's.
    pub to_anthropic: bool,
    detail: Option<Box<str>>,
}

impl Refusal {
    /// A refusal in words more precise than the table's. They are shown to the client.
    pub fn with(kind: RefusalKind, message: impl Into<Box<str>>) -> Self {
        Self { kind, to_anthropic: false, detail: Some(message.into()) }
    }

    /// The same in the form that the client of a request with these headers reads.
    #[must_use]
    pub fn told_to(self, headers: &Headers) -> Self {
        Self { to_anthropic: parse::is_anthropic(headers.path()), ..self }
    }

    /// What is wrong and what to do.
    pub fn message(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.kind.row().message)
    }
}

impl From<RefusalKind> for Refusal {
    fn from(kind: RefusalKind) -> Self {
        Self { kind, to_anthropic: false, detail: None }
    }
}

impl PartialEq<RefusalKind> for Refusal {
    fn eq(&self, kind: &RefusalKind) -> bool {
        self.kind == *kind
    }
}

#[cfg(test)]
mod tests;
