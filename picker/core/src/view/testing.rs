//! Views, requests and plugin instances for tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::{Candidates, LoraState, Reading, Signals, View};
use crate::config::ConfigError;
use crate::endpoint::{Endpoint, EndpointId, EndpointSpec, Labels, Slots};
use crate::plugin::{BuildCx, ProducerId, Producers, Roles, ScoreInput};
use crate::plugins;
use crate::request::{Content, Headers, Request, Text};
use crate::schedule::Produced;
use crate::store::StateStore;

/// Pod `n` of a test, at `10.0.0.n:8000`. Their ids sort by `n`.
pub fn spec(n: u8) -> EndpointSpec {
    EndpointSpec {
        id: EndpointId { pod_uid: format!("uid-{n:03}").into(), port: 8000, rank: 0 },
        pod: format!("pod-{n}"),
        namespace: "default".to_owned(),
        address: ([10, 0, 0, n], 8000).into(),
        labels: Labels::new(),
    }
}

/// A view of `endpoints` of which nothing is known.
pub fn view_of(endpoints: impl IntoIterator<Item = Arc<Endpoint>>) -> View {
    let rows = endpoints.into_iter().map(|e| (e, Reading::default())).collect();
    View::build(rows, Instant::now(), Duration::from_secs(1))
}

/// A view of fresh endpoints, pod 0 onwards, with `signals` just read.
pub fn view(signals: impl IntoIterator<Item = Signals>) -> View {
    let (now, mut slots) = (Instant::now(), Slots::default());
    let rows = signals
        .into_iter()
        .zip(0..)
        .map(|(signals, n)| (Arc::new(slots.admit(spec(n))), Reading { signals, at: Some(now) }))
        .collect();
    View::build(rows, now, Duration::from_secs(1))
}

/// A view of `count` endpoints of which nothing is known.
pub fn unknown(count: usize) -> View {
    view(vec![Signals::default(); count])
}

/// LoRA adapters of a server.
pub fn lora(max: u32, running: &[&str], waiting: &[&str]) -> Signals {
    let boxed = |names: &[&str]| names.iter().map(|&n| n.into()).collect();
    let state = LoraState { max, running: boxed(running), waiting: boxed(waiting) };
    Signals { lora: Some(Arc::new(state)), ..Signals::default() }
}

/// A request for `model` whose prompt is `prompt`.
pub fn request(model: &str, prompt: &str) -> Request {
    let content = Content {
        model: Some(Text::Unescaped(model.into())),
        prompt: smallvec::smallvec![0..prompt.len()],
        ..Content::default()
    };
    Request { headers: Headers::default(), body: Bytes::copy_from_slice(prompt.as_bytes()), content }
}

/// An instance of `kind`, named like its type; the first producer, if it is one. Of errors, the first.
pub fn build(kind: &str, parameters: Value) -> Result<Roles, ConfigError> {
    let mut producers = Producers::default();
    let mut staging = StateStore::default().stage();
    let registration = plugins::find(kind).expect("a type of the table");
    let own = Some(ProducerId(0));
    let mut cx = BuildCx {
        kind: registration.kind,
        name: kind,
        own,
        asks: Vec::new(),
        producers: &mut producers,
        staging: &mut staging,
    };
    registration.build(parameters.as_object(), "plugins[0]", &mut cx).map_err(|mut errors| errors.remove(0))
}

/// What the scorer `kind` says of all endpoints of `view`.
pub fn scores(
    kind: &str,
    parameters: Value,
    request: &Request,
    view: &View,
    produced: &Produced,
) -> Vec<f32> {
    let candidates = Candidates::of(view, None);
    let mut out = vec![0.0; candidates.len()];
    let scorer = build(kind, parameters).expect("valid parameters").scorer.expect("a scorer");
    scorer.score(&ScoreInput { request, view, produced }, &candidates, &mut out);
    out
}
