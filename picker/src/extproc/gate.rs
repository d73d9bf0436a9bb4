//! The gRPC service, and what every exchange shares.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use picker_core::Hot;
use picker_proto::external_processor_server::{ExternalProcessor, ExternalProcessorServer};
use picker_proto::{ProcessingRequest, ProcessingResponse};
use tonic::{Request, Response, Status, Streaming};

use super::held::Budget;
use super::stream::exchange;
use super::wire::{Responses, Wire};
use crate::metrics::Traffic;
use crate::view::SharedView;

/// What every exchange shares.
#[derive(Debug)]
pub struct Gate {
    /// The strategy that serves.
    pub hot: Arc<Hot>,
    /// The endpoints.
    pub view: SharedView,
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

/// The external processor of a gateway.
#[derive(Clone, Debug)]
pub struct Service(Arc<Gate>);

/// Bodies that nobody holds, of responses above all, come in one message from gateways that buffer, and have no
/// limit of their own but this.
const LARGEST: usize = 32 << 20;

/// A message that carries a whole body carries a little more. One that is longer still fails before it takes
/// memory, and its request is refused as one whose body is too long.
const SPARE: usize = 1 << 20;

impl Service {
    /// The gRPC service of `gate`.
    pub fn new(gate: Arc<Gate>) -> ExternalProcessorServer<Self> {
        let limit = gate.max_body.max(LARGEST).saturating_add(SPARE);
        ExternalProcessorServer::new(Self(gate)).max_decoding_message_size(limit)
    }
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

#[tonic::async_trait]
impl ExternalProcessor for Service {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        Ok(Response::new(Box::pin(self.0.clone().process(request.into_inner()))))
    }
}
