//! Services besides `ext_proc` on the port of gateways, bounded as it is: health, which gateways and their operators ask
//! for.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use picker_serve::memory::OpenStream;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;

/// The longest that a request may take until its answer begins.
const DEADLINE: Duration = Duration::from_secs(10);

/// The answer to come.
pub(super) type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// The services.
#[derive(Clone, Debug)]
pub(super) struct Others(Routes);

impl Others {
    pub(super) fn new(routes: Routes) -> Self {
        Self(routes.prepare())
    }

    /// The answer to a request on `stream`, which is open until the answer has ended.
    pub(super) fn call<B>(&mut self, request: Request<B>, mut stream: OpenStream) -> Future
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let answer = self.0.call(request);
        Box::pin(async move {
            let Ok(answer) = timeout(DEADLINE, answer).await else {
                return Ok(Status::deadline_exceeded("no message in time").into_http());
            };
            let Ok(answer) = answer;
            stream.begin();
            Ok(answer.map(|body| Body::new(Open { body, stream })))
        })
    }
}

/// An answer of a stream that is open.
struct Open {
    body: Body,
    stream: OpenStream,
}

impl HttpBody for Open {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        this.stream.set_stuck(false);
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        this.stream.set_stuck(frame.is_ready());
        frame.map_ok(|frame| {
            // Short, and by itself: what it is a part of would stay as long as it waits to be sent.
            frame.map_data(|data| {
                let data = Bytes::copy_from_slice(&data);
                this.stream.set_last(data.clone());
                data
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body_util::{BodyExt, Full};
    use picker_serve::memory::{Meter, STREAM};

    use super::*;

    #[tokio::test]
    async fn an_answer_counts_until_it_was_sent() {
        for (is_sent, counted) in [(true, 0), (false, STREAM)] {
            let (meter, answer) = (Meter::default(), Full::new(Bytes::from_static(b"an answer")));
            let body = Body::new(answer.map_err(|never| match never {}));
            let mut open = Open { body, stream: meter.open().unwrap() };
            let frame = poll_fn(|cx| Pin::new(&mut open).poll_frame(cx)).await.unwrap().unwrap();
            let sent = (!is_sent).then_some(frame);
            drop(open);
            assert_eq!(meter.held(), counted);
            drop(sent);
        }
    }
}
