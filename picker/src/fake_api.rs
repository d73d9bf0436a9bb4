//! An API server for tests: a function that answers requests, with a log of them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// A request, as far as tests look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Method and path, and the query when there is one.
    pub what: String,
    /// The JSON of the body; null without.
    pub body: Value,
}

/// The answer to a request.
pub enum Answer {
    /// An object.
    Object(Value),
    /// An error with this status.
    Error(u16),
    /// A watch on which nothing happens.
    Silence,
}

/// The requests so far.
pub type Log = Arc<Mutex<Vec<Asked>>>;

/// A client of a server that answers with `answer`, and the log of the requests.
pub fn client(answer: impl Fn(&Asked) -> Answer + Clone + Send + Sync + 'static) -> (Client, Log) {
    let log = Log::default();
    let asked = log.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, log) = (answer.clone(), asked.clone());
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let what = format!("{} {}", head.method, head.uri.path_and_query().map_or("", |p| p.as_str()));
            let asked = Asked { what, body: serde_json::from_slice(&bytes).unwrap_or_default() };
            let response = respond(answer(&asked));
            log.lock().unwrap().push(asked);
            Ok::<_, kube::Error>(response)
        }
    });
    (Client::new(service, "default"), log)
}

fn respond(answer: Answer) -> Response<BoxBody<Bytes, Infallible>> {
    let (status, value) = match answer {
        Answer::Object(value) => (200, value),
        Answer::Error(code) => {
            let reason = if code == 404 { "NotFound" } else { "Other" };
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": code,
            });
            (code, status)
        }
        Answer::Silence => {
            let never = stream::pending::<Result<Frame<Bytes>, Infallible>>();
            return Response::new(BodyExt::boxed(StreamBody::new(never)));
        }
    };
    Response::builder().status(status).body(Full::from(value.to_string()).boxed()).unwrap()
}
