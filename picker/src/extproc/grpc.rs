//! gRPC as `ext_proc` uses it: one method, streams both ways, no compression.
//!
//! tonic's own server would do, and copies every body twice: into the buffer that it decodes, and into the one that it
//! sends. It also routes each stream through axum. What is here does neither; whatever is not `ext_proc` on the same
//! port (health) is tonic's.
//!
//! Source of the format: gRPC over HTTP/2, "Requests" and "Responses"
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

mod elements;
mod incoming;
mod others;
mod outgoing;
mod turns;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::future::Either;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::Body as HttpBody;
use picker_proto::ProcessingRequest;
use picker_serve::memory::Meter;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;

use super::bbr;
use super::stream::exchange;
use super::wire::{Responses, Wire};
use crate::bbr::Bbr;
use crate::pool::Pool;
use incoming::Messages;
use others::Others;
use outgoing::Outgoing;
use turns::Turns;

/// The method that gateways call.
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/// Bodies that nobody holds, of responses above all, come in one message from gateways that buffer, and have no
/// limit of their own but this.
const LARGEST: usize = 32 << 20;

/// A message that carries a whole body carries a little more. One that is longer still fails before it takes
/// memory, and its request is refused as one whose body is too long.
const SPARE: usize = 1 << 20;

/// What answers the exchanges.
#[derive(Clone, Debug)]
pub enum Answers {
    /// The endpoint picker of a pool.
    Picker(Arc<Pool>),
    /// Body-based routing.
    Bbr(Arc<Bbr>),
}

/// The external processor of a gateway, with other services beside it.
#[derive(Clone, Debug)]
pub struct Service {
    answers: Answers,
    others: Others,
    limit: usize,
    meter: Meter,
    turns: Turns,
}

impl Service {
    /// The external processor that decides for `pool`, beside `others`.
    pub fn new(pool: Arc<Pool>, others: Routes) -> Self {
        Self::of(Answers::Picker(pool), others)
    }

    /// The external processor with these answers, beside `others`.
    pub fn of(answers: Answers, others: Routes) -> Self {
        let limits = match &answers {
            Answers::Picker(pool) => &pool.limits,
            Answers::Bbr(bbr) => &bbr.limits,
        };
        let limit = limits.max_body.max(LARGEST).saturating_add(SPARE);
        let meter = Meter::default();
        Self { answers, others: Others::new(others), limit, meter, turns: Turns::default() }
    }

    /// The same for one connection, at whose meter its streams count what they hold.
    #[must_use]
    pub fn of_connection(&self, meter: &Meter) -> Self {
        Self { meter: meter.clone(), ..self.clone() }
    }
}

impl<B> tower::Service<Request<B>> for Service
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, others::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(stream) = self.meter.open() else {
            let full = Status::resource_exhausted("this connection holds as much memory as it may");
            return Either::Left(ready(Ok(full.into_http())));
        };
        if request.uri().path() != PROCESS {
            return Either::Right(self.others.call(request, stream));
        }
        let messages = Messages::new(request.into_body(), self.limit, self.meter.hold(), self.turns.clone());
        let answers = Outgoing::new(self.answers.clone().to(messages), stream);
        let mut response = Response::new(Body::new(answers));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Either::Left(ready(Ok(response)))
    }
}

impl Answers {
    /// Those to the messages of one exchange.
    fn to<S>(self, requests: S) -> Responses
    where
        S: Stream<Item = Result<ProcessingRequest, Status>> + Send + Unpin + 'static,
    {
        match self {
            Self::Picker(pool) => process(pool, requests),
            Self::Bbr(bbr) => {
                Responses::new(|outbox| Box::pin(bbr::exchange(bbr, Wire::new(requests, outbox))))
            }
        }
    }
}

/// The answers to the messages of one exchange of `pool`. Everything happens as this stream is polled, and ends when it
/// is dropped.
pub(super) fn process<S>(pool: Arc<Pool>, requests: S) -> Responses
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Send + Unpin + 'static,
{
    Responses::new(|outbox| Box::pin(exchange(pool, Wire::new(requests, outbox))))
}
