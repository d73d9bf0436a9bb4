//! The response to a routed request, as observers see it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::request::Headers;

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// Its status; `None` when the gateway doesn't show one.
    pub status: Option<u16>,
    /// Its headers.
    pub headers: &'a Headers,
    /// The endpoint that served, where the gateway says so. It is another one than was picked when the gateway did not
    /// know that one yet.
    pub served: Option<SocketAddr>,
}

/// Token counts of an answer, as the model server reports them (`usage`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, those from the cache too.
    pub prompt: u64,
    /// Tokens of the prompt that came from the prefix cache.
    pub cached: u64,
    /// Tokens of the answer, those of the reasoning before it too.
    pub completion: u64,
    /// Tokens of the answer that are reasoning, where the server says how many; 0 elsewhere.
    pub reasoning: u64,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its last byte.
    Complete,
    /// Before that: the client or the server has gone, or the gateway shows no more.
    Cut,
}

/// What came of a routed request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The status of the response; `None` when there was none.
    pub status: Option<u16>,
    /// From the decision to the first byte of the response's body (time to first token, for streams).
    pub first_byte: Option<Duration>,
    /// From the decision to the end; `None` for one that was cut.
    pub duration: Option<Duration>,
    /// Token counts, where the answer of a status 2xx has them.
    pub usage: Option<Usage>,
    /// The endpoint that served, where the gateway says so.
    pub served: Option<SocketAddr>,
}
