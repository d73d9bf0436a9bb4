//! Views, requests and plugin instances for tests of plugins. With the feature `testing`, for those of other crates too.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't begin has failed")]
#![allow(clippy::disallowed_methods, reason = "tests make the time of a decision")]

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use crate::ask::{Ask, ProfileResult};
use crate::compile::compile_with;
use crate::config::{ConfigError, Scope};
use crate::cx::Cx;
use crate::endpoint::{Endpoint, EndpointId, EndpointSpec, Labels, Slots};
use crate::fact::{Fact, Facts, Finding, Slot};
use crate::plugin::{BuildCx, Building, Registry, Role, Roles};
use crate::request::{Content, Headers, Request, Text};
use crate::role::Decider;
use crate::store::StateStore;
use crate::strategy::Strategy;
use crate::view::{Candidates, LoraState, Reading, Signals, View};

/// Values of the label that says which stages a pod serves, the last of which is none.
pub const ROLES: [&str; 8] = [
    "decode",
    "prefill",
    "encode",
    "prefill-decode",
    "both",
    "encode-prefill",
    "encode-prefill-decode",
    "Decode",
];

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

/// A view of endpoints, pod 0 onwards, with these labels.
pub fn labelled<'a>(pods: impl IntoIterator<Item = &'a [(&'a str, &'a str)]>) -> View {
    let mut slots = Slots::default();
    view_of(pods.into_iter().zip(0..).map(|(labels, n)| {
        let labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        Arc::new(slots.admit(EndpointSpec { labels, ..spec(n) }))
    }))
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
    Request { body: Bytes::copy_from_slice(prompt.as_bytes()), content, ..Request::default() }
}

/// A request with these headers, and no body.
pub fn with_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Request {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let headers = headers.into_iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
    Request { headers: Headers(headers), ..Request::default() }
}

/// A strategy of the built-in plugins; `routing` is YAML.
pub fn strategy(routing: &str) -> Arc<Strategy> {
    strategy_with(crate::plugins::builtin(), routing)
}

/// A strategy of the plugins in `registry`; `routing` is YAML.
pub fn strategy_with(registry: &Registry, routing: &str) -> Arc<Strategy> {
    let routing: Value = serde_saphyr::from_str(routing).expect("YAML");
    let compiled = compile_with(registry, &routing, Scope::File, &StateStore::default());
    Arc::new(compiled.unwrap_or_else(|e| panic!("{e}")).strategy)
}

/// The roles of an instance of `kind`, named like its type. Of errors, the first.
///
/// # Errors
/// When the parameters are wrong.
pub fn build(kind: &str, parameters: Value) -> Result<Roles, ConfigError> {
    Ok(Instance::new(kind, parameters)?.roles)
}

/// A strategy with the profiles that disaggregation has by default, of which nothing was made yet.
fn building() -> Building {
    let profiles = ["decode", "prefill", "encode"].map(str::to_owned);
    Building::new(StateStore::default().stage(), profiles.into())
}

/// All deciders of `registry` that can be made without parameters, named like their types.
fn deciders(registry: &Registry) -> BTreeMap<String, Option<Arc<dyn Decider>>> {
    let made = registry.all().iter().filter(|r| r.roles.contains(&Role::Decider)).map(|registration| {
        let mut building = building();
        let mut cx = BuildCx::new(registration.kind, registration.kind, "plugins", &mut building);
        let roles = registration.build(None, "plugins", &mut cx).ok();
        (registration.kind.to_owned(), roles.and_then(|roles| roles.decider))
    });
    made.collect()
}

/// A plugin instance alone, among the profiles `decode`, `prefill` and `encode`, with the facts that it reads and writes.
pub struct Instance {
    /// Its roles.
    pub roles: Roles,
    /// The facts.
    pub facts: Facts,
    kinds: Vec<TypeId>,
    own: Vec<u16>,
    /// Its clock and randomness, from a fixed seed.
    pub cx: Cx,
}

impl Instance {
    /// An instance of the built-in type `kind`, named like it. Of errors, the first.
    ///
    /// # Errors
    /// When the parameters are wrong.
    pub fn new(kind: &str, parameters: Value) -> Result<Self, ConfigError> {
        Self::of(crate::plugins::builtin(), kind, parameters)
    }

    /// An instance of a type of `registry`.
    ///
    /// # Errors
    /// When the parameters are wrong.
    pub fn of(registry: &Registry, kind: &str, parameters: Value) -> Result<Self, ConfigError> {
        let registration = registry.find(kind).expect("a type of the table");
        let mut building = building();
        building.deciders = deciders(registry);
        let mut cx = BuildCx::new(registration.kind, kind, "plugins[0]", &mut building);
        let roles = registration.build(parameters.as_object(), "plugins[0]", &mut cx);
        let own = cx.asked().provides;
        let roles = roles.map_err(|mut errors| {
            let mut first = errors.remove(0);
            first.tell_list(&mut BTreeSet::new());
            first
        })?;
        let mut facts = Facts::default();
        facts.fit(&building.layout);
        let kinds = building.fittings.iter().map(|fitting| fitting.id).collect();
        Ok(Self { roles, facts, kinds, own, cx: Cx::new(Instant::now(), 1) })
    }

    fn slot<F: Fact>(&self) -> Slot<F> {
        let index = self.kinds.iter().position(|id| *id == TypeId::of::<F>());
        Slot::new(index.unwrap_or_else(|| panic!("it has to do with no {}", F::NAME)) as u16)
    }

    /// Whether it provides or reads a fact of this kind.
    pub fn has<F: Fact>(&self) -> bool {
        self.kinds.contains(&TypeId::of::<F>())
    }

    /// Sets the fact of this kind that it reads.
    #[must_use]
    pub fn knowing<F: Fact>(mut self, fact: F) -> Self {
        self.learn(fact);
        self
    }

    /// The same, in place.
    pub fn learn<F: Fact>(&mut self, fact: F) {
        let slot = self.slot::<F>();
        self.facts.learn([slot.found(fact)]);
    }

    /// Empties all facts, as for the next request.
    pub fn forget(&mut self) {
        self.facts.forget();
    }

    /// The fact of this kind that it has to do with.
    pub fn fact<F: Fact>(&self) -> &F {
        self.facts.get(self.slot::<F>())
    }

    /// What it reads about `request`.
    pub fn ask<'a>(&'a self, request: &'a Request, view: &'a View, done: &'a [ProfileResult]) -> Ask<'a> {
        Ask { request, view, facts: &self.facts, done, now: self.cx.now() }
    }

    /// Lets the producer produce, about all endpoints of `view`.
    pub fn produce(&mut self, request: &Request, view: &View) {
        self.produce_with(request, view, None);
    }

    /// The same, when the producer that it reads from has found `fact`.
    pub fn produce_knowing<F: Fact>(&mut self, request: &Request, view: &View, fact: F) {
        let finding = self.slot::<F>().found(fact);
        self.produce_with(request, view, Some(finding));
    }

    fn produce_with(&mut self, request: &Request, view: &View, finding: Option<Finding>) {
        let producer = self.roles.producer.clone().expect("a producer");
        let candidates = Candidates::of(&view.endpoints, None);
        let now = self.cx.now();
        self.facts.forget();
        self.facts.learn(finding);
        self.facts.produce(&self.own, |facts, own| {
            producer.produce(&Ask { request, view, facts, done: &[], now }, &candidates, own);
        });
    }

    /// The scores of all endpoints of `view`.
    pub fn scores(&self, request: &Request, view: &View) -> Vec<f32> {
        let candidates = Candidates::of(&view.endpoints, None);
        let mut out = vec![0.0; candidates.len()];
        let scorer = self.roles.scorer.as_ref().expect("a scorer");
        scorer.score(&self.ask(request, view, &[]), &candidates, &mut out);
        out
    }

    /// The endpoints of `view` that the filter or screener leaves.
    pub fn kept(&mut self, request: &Request, view: &View) -> Vec<usize> {
        self.kept_of(request, view, Candidates::of(&view.endpoints, None))
    }

    /// Those of `candidates` that the filter or screener leaves.
    pub fn kept_of(&mut self, request: &Request, view: &View, mut candidates: Candidates) -> Vec<usize> {
        let ask = Ask { request, view, facts: &self.facts, done: &[], now: self.cx.now() };
        match (&self.roles.filter, &self.roles.screener) {
            (Some(filter), _) => filter.filter(&ask, &mut self.cx, &mut candidates),
            (None, Some(screener)) => screener.screen(&ask, &mut self.cx, &mut candidates),
            (None, None) => panic!("neither filter nor screener"),
        }
        candidates.iter().collect()
    }
}

/// What the scorer `kind` says of all endpoints of `view`.
pub fn scores(kind: &str, parameters: Value, request: &Request, view: &View) -> Vec<f32> {
    Instance::new(kind, parameters).expect("valid parameters").scores(request, view)
}
