//! Random pools and requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::endpoint::{EndpointSpec, Load, Slots};
use crate::fact::{PrefixMatch, RequestLoad};
use crate::request::{Content, Request, Text};
use crate::testing::{Instance, ROLES, lora, spec, with_headers};
use crate::view::{Candidates, Reading, Signals, View};

/// The label that says which stages a pod serves.
pub const ROLE: &str = "llm-d.ai/role";

/// What is known of one endpoint. Two of them are at each address, with ports of their own.
#[derive(Clone, Debug)]
pub struct Pod {
    pub waiting: Option<f32>,
    pub running: Option<f32>,
    pub kv_usage: Option<f32>,
    /// LoRA adapters: how many fit, which run, which wait.
    pub adapters: Option<(u32, Vec<&'static str>, Vec<&'static str>)>,
    pub in_flight: u32,
    pub tokens: u64,
    pub labels: BTreeMap<String, String>,
    /// Blocks of the prompt in its prefix cache.
    pub matched: u32,
    /// Tokens of the prompt that it has to compute.
    pub uncached: u64,
}

/// A pool and a request.
#[derive(Clone, Debug)]
pub struct Scene {
    pub pods: Vec<Pod>,
    /// Positions in `pods`, at least one.
    pub candidates: Vec<usize>,
    pub headers: Vec<(String, String)>,
    pub model: Option<&'static str>,
    /// Blocks of the prompt, each of 64 tokens.
    pub blocks: u32,
    /// Whether anything is known of prefix caches.
    pub prefixes: bool,
    /// Tokens of the answer, as estimated.
    pub output: u64,
}

/// A number as it is known: what is not finite is unknown.
pub fn known(number: Option<f32>) -> Option<f64> {
    number.filter(|number| number.is_finite()).map(f64::from)
}

impl Scene {
    /// The candidates.
    pub fn each(&self) -> impl Iterator<Item = &Pod> {
        self.candidates.iter().map(|&i| &self.pods[i])
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn request(&self) -> Request {
        let model = self.model.map(|model| Text::Unescaped(model.into()));
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Request { content: Content { model, ..Content::default() }, ..with_headers(headers) }
    }

    /// The pool, with its requests under way.
    pub fn view(&self) -> View {
        let (now, mut slots) = (Instant::now(), Slots::default());
        let rows = self.pods.iter().zip(0..).map(|(pod, n): (&Pod, u8)| {
            let address = ([10, 0, 0, n / 2], 8000 + u16::from(n % 2)).into();
            let endpoint = slots.admit(EndpointSpec { labels: pod.labels.clone(), address, ..spec(n) });
            endpoint.live().add(Load { requests: pod.in_flight, tokens: pod.tokens });
            let adapters = pod.adapters.as_ref();
            let lora = adapters.and_then(|(max, running, waiting)| lora(*max, running, waiting).lora);
            let Pod { waiting, running, kv_usage, .. } = *pod;
            let signals = Signals { waiting, running, kv_usage, lora, ..Signals::default() };
            (Arc::new(endpoint), Reading { signals, at: Some(now) })
        });
        View::build(rows.collect(), now, Duration::from_secs(1))
    }

    /// The candidates among the endpoints of `view`.
    pub fn candidates(&self, view: &View) -> Candidates {
        let mut candidates = Candidates::of(&view.endpoints, None);
        candidates.retain(|i| self.candidates.contains(&i));
        candidates
    }

    /// Lets `instance` know what producers would say.
    pub fn tell(&self, instance: &mut Instance) {
        if instance.has::<PrefixMatch>() {
            let matched = self.pods.iter().map(|pod| pod.matched.min(self.blocks)).collect();
            let matched = if self.prefixes { matched } else { Vec::new() };
            let hashes = (0..u64::from(self.blocks)).collect();
            instance.learn(PrefixMatch { hashes, block_tokens: 64, matched });
        }
        if instance.has::<RequestLoad>() {
            let uncached = self.pods.iter().map(|pod| pod.uncached).collect();
            instance.learn(RequestLoad { prompt: 0, output: self.output, uncached });
        }
    }
}

/// A number of requests: often one that others have too, sometimes unknown.
fn requests() -> impl Strategy<Value = Option<f32>> {
    prop_oneof![
        6 => (0..6_u8).prop_map(|n| Some(f32::from(n))),
        2 => (0.0_f32..300.0).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY)].prop_map(Some),
    ]
}

fn share() -> impl Strategy<Value = Option<f32>> {
    prop_oneof![
        6 => (0.0_f32..=1.0).prop_map(Some),
        2 => prop_oneof![Just(0.0_f32), Just(0.5), Just(1.0)].prop_map(Some),
        1 => Just(None),
        1 => Just(Some(f32::NAN)),
    ]
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let role = prop::option::of(prop::sample::select(&ROLES[..]));
    let other = || prop::option::of(prop::sample::select(&["a", "b", "c"][..]));
    (role, other(), other()).prop_map(|(role, tier, zone)| {
        let all = [(ROLE, role), ("tier", tier), ("zone", zone)];
        let given = all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
        given.collect()
    })
}

fn adapters() -> impl Strategy<Value = Option<(u32, Vec<&'static str>, Vec<&'static str>)>> {
    let some = || prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    prop::option::weighted(0.8, (0..5_u32, some(), some()))
}

fn pod() -> impl Strategy<Value = Pod> {
    let numbers = (requests(), requests(), share(), 0..5_u32, prop_oneof![Just(0_u64), 0..2_000_000_u64]);
    (numbers, adapters(), labels(), 0..=10_u32, 0..5000_u64).prop_map(
        |((waiting, running, kv_usage, in_flight, tokens), adapters, labels, matched, uncached)| Pod {
            waiting,
            running,
            kv_usage,
            adapters,
            in_flight,
            tokens,
            labels,
            matched,
            uncached,
        },
    )
}

/// A list of addresses, as tests name endpoints: some are none.
fn addresses() -> impl Strategy<Value = String> {
    let host = 0..7_u8;
    let one = prop_oneof![
        3 => host.clone().prop_map(|host| format!("10.0.0.{host}")),
        3 => (host, 8000..8003_u16).prop_map(|(host, port)| format!("10.0.0.{host}:{port}")),
        1 => prop::sample::select(&["", "pod-1", "10.0.0", "10.0.0.1:", "::1"][..]).prop_map(str::to_owned),
    ];
    prop::collection::vec(one, 0..5).prop_map(|all| all.join(","))
}

/// A token of a session, which may be made up.
fn token() -> impl Strategy<Value = String> {
    use base64::engine::{Engine, general_purpose::STANDARD};
    let pod = prop::sample::select(&["default/pod-#-rank-0", "default/pod-#", "other/pod-#", "pod-#"][..]);
    let made = (pod, 0..13_u8).prop_map(|(name, n)| STANDARD.encode(name.replace('#', &n.to_string())));
    prop_oneof![4 => made, 1 => ".{0,12}".prop_map(|text| text.trim().to_owned())]
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let named = ("test-epp-endpoint-selection", prop::option::weighted(0.8, addresses()));
    let token = ("x-session-token", prop::option::weighted(0.8, token()));
    (named.1, token.1).prop_map(move |(addresses, token_value)| {
        let all = [(named.0, addresses), (token.0, token_value)];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

/// Pools of up to 12 endpoints, often of one, and requests to some of them.
pub fn scenes() -> impl Strategy<Value = Scene> {
    let pods = prop_oneof![1 => prop::collection::vec(pod(), 1), 5 => prop::collection::vec(pod(), 1..=12)];
    let model = prop::option::weighted(0.8, prop::sample::select(&["a", "b", "z"][..]));
    let request = (headers(), model, 0..=10_u32, prop::bool::weighted(0.9), 0..2000_u64);
    (pods, any::<u16>(), request).prop_map(|(pods, some, (headers, model, blocks, prefixes, output))| {
        let all = 0..pods.len();
        let mut candidates: Vec<_> = all.clone().filter(|i| some >> i & 1 == 1).collect();
        if candidates.is_empty() {
            candidates = all.collect();
        }
        Scene { pods, candidates, headers, model, blocks, prefixes, output }
    })
}
