//! Chats in families that share a long beginning, and endpoints that have seen some of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use picker_core::compile::{compile_with, default_routing};
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::index::chain;
use picker_core::plugin::{Plugin, Registration};
use picker_core::plugins::builtin;
use picker_core::request::Headers;
use picker_core::store::StateStore;
use picker_core::view::{Address, Reading, Signals};
use picker_core::{Cx, Hot, Request, Strategy, View};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::observer::WatchAll;

/// Blocks that an endpoint keeps.
pub const BLOCKS: u32 = 10_000;
/// Bytes of a block that the prefix index counts in: 64 tokens, the fewest.
const BLOCK: usize = 256;
/// Conversations that chats belong to.
const FAMILIES: usize = 32;

const BEFORE: &str = r#"{"model": "sim-model", "messages": [{"role": "system", "content": "You are a helpful assistant. Answer shortly, and say what you don't know."}, {"role": "user", "content": ""#;
const AFTER: &str = r#""}], "max_tokens": 128, "temperature": 0.7, "stream": true}"#;

/// How long a body is.
#[derive(Clone, Copy)]
pub enum Size {
    /// A usual chat: 4 KB.
    Short,
    /// 100,000 tokens: 450 KB.
    Long,
}

impl Size {
    fn bytes(self) -> usize {
        match self {
            Self::Short => 4_000,
            Self::Long => 450_000,
        }
    }
}

/// A request in all the forms that it takes on its way.
pub struct Chat {
    /// As it comes.
    pub body: Bytes,
    /// As it was read.
    pub request: Request,
    /// Those of its prompt's blocks.
    pub hashes: Vec<u64>,
}

/// A source of chats: two thirds of each are its family's, the rest nobody has seen before.
pub struct Chats {
    families: Vec<String>,
    own: String,
    made: u64,
    rng: SmallRng,
}

impl Chats {
    pub fn new(size: Size) -> Self {
        let text = size.bytes() - BEFORE.len() - AFTER.len();
        let family = |n| words(text * 2 / 3, n as u64);
        let rng = SmallRng::seed_from_u64(0x5eed);
        Self { families: (0..FAMILIES).map(family).collect(), own: words(text / 3 - 16, 99), made: 0, rng }
    }

    pub fn next(&mut self) -> Chat {
        // Families come in no order.
        let family = &self.families[self.rng.random_range(0..FAMILIES)];
        self.made += 1;
        let number = format!("{:016}", self.made);
        let body = Bytes::from([BEFORE, family, &number, &self.own, AFTER].concat());
        let request = Request::new(headers(), body.clone()).expect("a sound body");
        let mut hashes = Vec::new();
        hash(&request, &mut hashes);
        Chat { body, request, hashes }
    }
}

/// As the prefix cache's producer does it.
pub fn hash(request: &Request, out: &mut Vec<u64>) {
    out.clear();
    let seed = chain::seed(request.model().unwrap_or_default(), request.cache_salt());
    chain::extend(seed, request.prompt(), BLOCK, usize::MAX, out);
}

/// `bytes` bytes of words of four letters and a space.
fn words(bytes: usize, seed: u64) -> String {
    let mut rng = SmallRng::seed_from_u64(seed);
    let letters =
        (0..bytes).map(|at| if at % 5 == 4 { ' ' } else { char::from(rng.random_range(b'a'..=b'z')) });
    letters.collect()
}

/// What a gateway sends of a chat.
pub fn headers() -> Headers {
    let headers = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        (":authority", "models.example.com"),
        ("content-type", "application/json"),
        ("user-agent", "OpenAI/Python 1.99.1"),
    ];
    Headers(headers.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).into())
}

/// A view of `count` endpoints with different load.
pub fn view(count: u16) -> View {
    let (now, mut slots, mut rng) = (Instant::now(), Slots::default(), SmallRng::seed_from_u64(1));
    let rows = (0..count).map(|n| {
        let [high, low] = n.to_be_bytes();
        let endpoint = slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n:05}").into(), port: 8000, rank: 0 },
            pod: format!("pod-{n}"),
            namespace: "default".to_owned(),
            address: ([10, 0, high, low], 8000).into(),
            labels: Labels::new(),
        });
        let signals = Signals {
            waiting: Some(f32::from(rng.random_range(0..10_u8))),
            running: Some(f32::from(rng.random_range(0..100_u8))),
            kv_usage: Some(rng.random_range(0.0..1.0)),
            block_size: Some(16),
            num_blocks: Some(4 * BLOCKS),
            cache_tokens: None,
            lora: None,
            models: None,
            others: Vec::new(),
        };
        (Arc::new(endpoint), Reading { signals, at: Some(now) })
    });
    View::build(rows.collect(), now, Duration::from_secs(60))
}

/// The default strategy: queue, KV cache and prefix.
pub fn default_strategy() -> Arc<Strategy> {
    let hot = Hot::default();
    hot.offer(&default_routing(), Scope::Resource);
    hot.current().expect("the default routing compiles")
}

/// The default strategy with the tokens under way as a further score, and an [`observer`](crate::observer) of every
/// response.
pub fn booked_strategy() -> Arc<Strategy> {
    let mut routing = default_routing();
    let plugins = routing["plugins"].as_array_mut().expect("plugins");
    plugins.extend([json!({"type": "token-load-scorer"}), json!({"type": WatchAll::TYPE})]);
    let scorers = routing["schedulingProfiles"][0]["plugins"].as_array_mut().expect("scorers");
    scorers.push(json!({"pluginRef": "token-load-scorer", "weight": 2}));
    let registry = builtin().clone().with(Registration::of::<WatchAll>());
    let compiled = compile_with(&registry, &routing, Scope::Resource, &StateStore::default());
    Arc::new(compiled.expect("it compiles").strategy)
}

/// Lets each endpoint of `view` get a chat by `strategy`, so that all of them have a table in the prefix index.
pub fn spread(strategy: &Strategy, view: &View, chats: &mut Chats) {
    let mut cx = Cx::new(Instant::now(), 1);
    for endpoint in view.endpoints.iter() {
        let only = Address::parse(&endpoint.destination);
        let routed = strategy.route(&chats.next().request, view, Some(only.as_slice()), &mut cx);
        assert_eq!(routed.expect("an endpoint").endpoint().id, endpoint.id);
    }
}
