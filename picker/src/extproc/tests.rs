//! Exchanges over a real connection, with the test in the place of Envoy.

mod bbr;
mod catalogue;
mod chunking;
mod client;
mod counts;
mod edits;
mod explained;
mod forms;
mod frames;
mod health;
mod many;
mod models;
mod modes;
mod preparing;
mod refusals;
mod swaps;
mod usage;
mod waits;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::hot::Outcome;
use picker_core::http::NoClient;
use picker_core::view::{LoraState, Reading, Signals};
use picker_core::{Hot, View};
use serde_json::{Value, json};

use crate::exchange::BodyBudget;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::pool::{Limits, Pool};
use crate::view;

/// The limit of bodies in these tests.
const MAX_BODY: usize = 200_000;
/// The limit of all requests together: there is room for two of the longest bodies with short headers, and an eighth is
/// for small ones.
const MAX_HELD: usize = 2 * (MAX_BODY + 500) * 8 / 7;
/// The longest that a body may take for each 16 KiB.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads bodies: the adapter `blue` is on the second endpoint, so its requests go there.
fn by_adapter() -> Value {
    json!({
        "plugins": [{"type": "lora-affinity-scorer"}, {"type": "max-score-picker"}],
        "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": "lora-affinity-scorer"}]}],
    })
}

/// Reads no body.
fn at_random() -> Value {
    json!({
        "plugins": [{"type": "random-picker"}],
        "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": "random-picker"}]}],
    })
}

/// A picker without its server: the pool, and what to look at.
struct Fixture {
    pool: Arc<Pool>,
    metrics: Metrics,
}

impl Fixture {
    /// A picker of these endpoints; the last one has the adapter `blue`, the others are full of another one.
    fn new(routing: Option<Value>, addresses: &[&str]) -> Self {
        let mut slots = Slots::default();
        let rows = addresses.iter().enumerate().map(|(n, address)| {
            let endpoint = Arc::new(slots.admit(spec(n, address.parse().unwrap())));
            let adapter = if n + 1 == addresses.len() { "blue" } else { "red" };
            let lora = Arc::new(LoraState { max: 1, running: vec![adapter.into()], waiting: Vec::new() });
            let signals = Signals { lora: Some(lora), ..Signals::default() };
            (endpoint, Reading { signals, at: Some(Instant::now()) })
        });
        let shared = view::empty();
        shared.store(Arc::new(View::build(rows.collect(), Instant::now(), Duration::from_secs(3600))));
        let hot = Hot::default();
        if let Some(routing) = routing {
            assert_eq!(
                hot.offer(&routing, Scope::Resource),
                Outcome::Swapped { resets: Vec::new(), warnings: Box::default() }
            );
        }
        let metrics = Metrics::new(shared.clone());
        let limits = Limits {
            max_body: MAX_BODY,
            refuse_longer: false,
            body_timeout: BODY_TIMEOUT,
            subset_filter: true,
            endpoint_scores: false,
            budget: BodyBudget::new(MAX_HELD),
        };
        let traffic = metrics.traffic.clone();
        let (policies, limits) = (Policies::default(), Arc::new(limits));
        let pool = Pool {
            hot: Arc::new(hot),
            view: shared,
            activity: Default::default(),
            decisions: Default::default(),
            http: Arc::new(NoClient),
            policies,
            traffic,
            limits,
        };
        Self { pool: Arc::new(pool), metrics }
    }

    /// The same with other limits.
    fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        let pool = Arc::get_mut(&mut self.pool).unwrap();
        change(Arc::get_mut(&mut pool.limits).unwrap());
        self
    }

    fn revision(&self) -> String {
        self.pool.hot.revision().unwrap().to_string()
    }

    /// Requests under way, by endpoint.
    fn in_flight(&self) -> Vec<u32> {
        self.pool.view.load().endpoints.iter().map(|e| e.live().in_flight()).collect()
    }

    /// The lines of the metrics page that begin with `name`.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = self.metrics.text().unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }
}

fn spec(n: usize, address: SocketAddr) -> EndpointSpec {
    EndpointSpec {
        id: EndpointId { pod_uid: format!("uid-{n}").into(), port: address.port(), rank: 0 },
        pod: format!("pod-{n}"),
        namespace: "ns".into(),
        address,
        labels: Labels::new(),
    }
}
