//! An API server of a few lines for tests: it holds objects by their path, and remembers what it was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube::runtime::events::{Recorder, Reporter};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::lease::Authority;
use crate::strategy::execute::Executor;
use crate::strategy::memory::Memory;

#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    asked: Vec<(String, Value)>,
    /// Writes that are refused, by verb and path.
    refused: BTreeSet<String>,
    /// How long each answer takes.
    delay: Duration,
}

impl Server {
    pub fn holds(&self, path: &str, object: &impl Serialize) {
        let object = serde_json::to_value(object).unwrap();
        self.0.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    /// Refuses a write, by verb and path.
    pub fn refuses(&self, call: &str) {
        self.0.lock().unwrap().refused.insert(call.to_owned());
    }

    /// Takes `delay` for each answer from now on.
    pub fn delays(&self, delay: Duration) {
        self.0.lock().unwrap().delay = delay;
    }

    /// Verb and path of what was asked, and its body.
    pub fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// Verb and path of what was asked.
    pub fn calls(&self) -> Vec<String> {
        self.asked().into_iter().map(|(call, _)| call).collect()
    }

    /// An executor that writes to this server, and for which pickers need not serve on.
    pub fn executor(&self) -> Executor {
        self.executor_that_holds(Duration::ZERO)
    }

    /// An executor that writes to this server, and for which pickers serve on for `release_hold`.
    pub fn executor_that_holds(&self, release_hold: Duration) -> Executor {
        self.executor_of(Authority::alone(), release_hold)
    }

    /// The same for a process of this authority.
    pub fn executor_of(&self, authority: Authority, release_hold: Duration) -> Executor {
        let server = self.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        let client = Client::new(service, "llm");
        let recorder =
            Recorder::new(client.clone(), Reporter { controller: "waypost".to_owned(), instance: None });
        let cache = Cache::default();
        Executor::new(
            client,
            authority,
            Arc::default(),
            recorder,
            Arc::<Memory>::default(),
            cache,
            release_hold,
        )
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let kind = head.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
        let verb = match kind {
            "application/apply-patch+yaml" => "APPLY",
            "application/merge-patch+json" => "MERGE",
            _ => head.method.as_str(),
        };
        let path = head.uri.path().to_owned();
        let delay = self.0.lock().unwrap().delay;
        tokio::time::sleep(delay).await;
        let mut state = self.0.lock().unwrap();
        let call = format!("{verb} {path}");
        state.asked.push((call.clone(), body.clone()));
        let (code, answer) = match verb {
            _ if state.refused.contains(&call) => (
                403,
                json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
                    "message": "not here"}),
            ),
            "GET" => match state.objects.get(&path) {
                Some(object) => (200, object.clone()),
                None => (
                    404,
                    json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound",
                    "message": "not found"}),
                ),
            },
            "DELETE" => {
                state.objects.remove(&path);
                (200, json!({"kind": "Status", "status": "Success"}))
            }
            // Nothing reads what a patch makes of what is there.
            _ => (200, state.objects.get(&path).cloned().unwrap_or(body)),
        };
        Ok(Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap())
    }
}
