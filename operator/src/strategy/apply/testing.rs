//! An API server of a few lines: it holds objects by their path, and remembers what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::RoutingStrategy;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::store::Writer as StoreWriter;
use serde::Serialize;
use serde_json::{Value, json};

use crate::build::{Defaults, Limits};
use crate::cache::Cache;
use crate::lease::Leadership;
use crate::strategy::{Context, Memory};
use crate::write::Writer;

#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    asked: Vec<(String, Value)>,
}

impl Server {
    pub fn holds(&self, path: &str, object: &impl Serialize) {
        let object = serde_json::to_value(object).unwrap();
        self.0.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    /// Verb and path of what was asked, and its body.
    pub fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// Verb and path of what was asked.
    pub fn calls(&self) -> Vec<String> {
        self.asked().into_iter().map(|(call, _)| call).collect()
    }

    pub fn context(&self) -> Context {
        let server = self.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        let client = Client::new(service, "llm");
        let metrics = Arc::<crate::metrics::Metrics>::default();
        Context {
            cache: Cache::new(StoreWriter::<RoutingStrategy>::default().as_reader()),
            writer: Writer::new(client.clone(), Leadership::alone(), metrics.clone()),
            defaults: Defaults {
                image: "waypost/picker:0.1.0".to_owned(),
                version: "0.1.0".to_owned(),
                allow_unsafe_pod_templates: false,
                limits: Limits::default(),
            },
            release_hold: Duration::ZERO,
            recorder: Recorder::new(client, Reporter { controller: "waypost".to_owned(), instance: None }),
            memory: Memory::default(),
            metrics,
        }
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
        let mut state = self.0.lock().unwrap();
        state.asked.push((format!("{verb} {path}"), body.clone()));
        let (code, answer) = match verb {
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
