//! Both directions of one stream, for a single task: the exchange is a future that is polled by whoever
//! reads its answers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use picker_proto::{ProcessingRequest, ProcessingResponse};
use tonic::Status;

/// How many answers may lie ready; a further one waits until the gateway has taken them.
const READY: usize = 4;

/// Answers that were made and not yet taken. Both ends belong to one task, so the lock is never waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox(Arc<Mutex<VecDeque<ProcessingResponse>>>);

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, VecDeque<ProcessingResponse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exchange's end of a stream.
#[derive(Debug)]
pub(super) struct Wire<S> {
    requests: S,
    outbox: Outbox,
    waited: bool,
}

impl<S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin> Wire<S> {
    pub(super) fn new(requests: S, outbox: Outbox) -> Self {
        Self { requests, outbox, waited: false }
    }

    /// The gateway's next message; `None` when it has no more.
    pub(super) async fn next(&mut self) -> Result<Option<ProcessingRequest>, Status> {
        self.waited = false;
        poll_fn(|cx| {
            let polled = self.poll_next(cx);
            self.waited |= polled.is_pending();
            polled
        })
        .await
    }

    /// Whether the last message of [`Wire::next`] was not there yet when it was asked for.
    pub(super) fn waited(&self) -> bool {
        self.waited
    }

    /// The same for who waits for something else, too.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ProcessingRequest>, Status>> {
        self.requests.poll_next_unpin(cx).map(Option::transpose)
    }

    /// Answers, and waits until there is room for another answer. The answer is in the outbox before anything is
    /// awaited, so that exchanges keep no room for it.
    pub(super) fn send(&mut self, answer: impl Into<ProcessingResponse>) -> impl Future<Output = ()> {
        self.outbox.queue().push_back(answer.into());
        // No waker: `Responses` polls again once it has handed on what is ready.
        poll_fn(|_| if self.outbox.queue().len() < READY { Poll::Ready(()) } else { Poll::Pending })
    }
}

type Exchange = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// The gateway's end of a stream: polls the exchange, and yields its answers.
pub(super) struct Responses {
    exchange: Option<Exchange>,
    outbox: Outbox,
    failure: Option<Status>,
}

impl Responses {
    pub(super) fn new(exchange: impl FnOnce(Outbox) -> Exchange) -> Self {
        let outbox = Outbox::default();
        Self { exchange: Some(exchange(outbox.clone())), outbox, failure: None }
    }
}

impl Stream for Responses {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let ready = self.outbox.queue().pop_front();
            if let Some(answer) = ready {
                return Poll::Ready(Some(Ok(answer)));
            }
            let Some(exchange) = &mut self.exchange else {
                return Poll::Ready(self.failure.take().map(Err));
            };
            match exchange.as_mut().poll(cx) {
                Poll::Ready(ended) => {
                    self.exchange = None;
                    self.failure = ended.err();
                }
                Poll::Pending if self.outbox.queue().is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}
