//! What every exchange shares.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use picker_core::Hot;
use picker_proto::ProcessingRequest;
use tonic::Status;

use super::held::Budget;
use super::stream::exchange;
use super::wire::{Responses, Wire};
use crate::metrics::Traffic;
use crate::view::SharedView;
use crate::watch::objectives::SharedPriorities;

/// What every exchange shares.
#[derive(Debug)]
pub struct Gate {
    /// The strategy that serves.
    pub hot: Arc<Hot>,
    /// The endpoints.
    pub view: SharedView,
    /// Priorities of requests, by the objective that they name.
    pub priorities: SharedPriorities,
    /// Where exchanges are counted.
    pub traffic: Traffic,
    /// The longest request body that is held for a decision, in bytes; a longer one is refused with 413. A
    /// body that no plugin reads is not held, and not limited.
    pub max_body: usize,
    /// How long a body that is held may take for each 16 KiB of it; a slower one is refused with 408.
    pub body_timeout: Duration,
    /// Whether only endpoints are chosen that the gateway's subset hint names, where it has one.
    pub subset_filter: bool,
    /// What all bodies that are held may take together. A request whose body finds no room is refused with 503.
    pub held: Budget,
}

impl Gate {
    /// The answers to the messages of one exchange. Everything happens as this stream is polled, and ends
    /// when it is dropped.
    pub(super) fn process<S>(self: Arc<Self>, requests: S) -> Responses
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Send + Unpin + 'static,
    {
        Responses::new(|outbox| Box::pin(exchange(self, Wire::new(requests, outbox))))
    }
}
