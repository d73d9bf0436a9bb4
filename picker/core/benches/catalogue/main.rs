//! What every filter, scorer and picker of the catalogue takes of a decision, by its sample, and a strategy of many of
//! them: `cargo xtask bench plugins`.
//!
//! ```sh
//! cargo bench -p picker-core --bench catalogue            # all
//! cargo bench -p picker-core --bench catalogue -- cel     # those with `cel` in their name
//! ```
//!
//! Ends with an error when one takes longer than it may.
#![allow(clippy::expect_used, reason = "a benchmark of what fails measures nothing")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod pool;
mod stopwatch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use picker_core::compile::compile;
use picker_core::config::Scope;
use picker_core::plugin::{Registration, Role};
use picker_core::plugins::builtin;
use picker_core::store::StateStore;
use picker_core::{Cx, Request, Strategy, View};
use serde_json::Value;

use stopwatch::{Stopwatch, median};

/// As the picker has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Endpoints, how often a decision among them is measured, and the most that one filter or scorer may take of it.
const SIZES: [(u16, usize, Duration); 2] =
    [(8, 4000, Duration::from_micros(2)), (1000, 600, Duration::from_micros(60))];

/// Endpoints of the strategy of many plugins, and the most that a decision may take, from a body to an endpoint.
const MANY: (u16, usize, Duration) = (100, 4000, Duration::from_micros(60));

/// Twelve scorers and four filters.
const MANY_PLUGINS: &str = "
plugins:
- {type: label-selector-filter, parameters: {matchExpressions: [{key: llm-d.ai/role, operator: Exists}]}}
- {type: decode-filter}
- {type: utilization-filter, parameters: {conditions: [{metric: waiting-queue, maxValue: 100}], fallbackOnEmpty: true}}
- {type: prefix-cache-affinity-filter, parameters: {affinityThreshold: 0.99}}
- {type: queue-scorer}
- {type: kv-cache-utilization-scorer}
- {type: running-requests-size-scorer}
- {type: prefix-cache-scorer}
- {type: lora-affinity-scorer}
- {type: active-request-scorer}
- {type: token-load-scorer}
- {type: load-aware-scorer}
- {type: no-hit-lru-scorer}
- {type: session-affinity-scorer, parameters: {strategy: session_id}}
- {type: slow-start}
- {type: latency-ewma-scorer}
- {type: max-score-picker}
";

fn main() -> ExitCode {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let mut over = Vec::new();
    println!("{:<34} {:<7} {:>10} {:>12}", "time in nanoseconds", "", "8 endpoints", "1000");
    for registration in builtin().all().iter().filter(|registration| registration.kind.contains(&wanted)) {
        for (role, name) in [(Role::Filter, "filter"), (Role::Scorer, "scorer"), (Role::Picker, "picker")] {
            if !registration.roles.contains(&role) {
                continue;
            }
            let times = SIZES.map(|(endpoints, times, _)| time(registration, role, endpoints, times));
            let shown = times.map(|time| time.map_or("-".to_owned(), |time| time.as_nanos().to_string()));
            println!("{:<34} {name:<7} {:>10} {:>12}", registration.kind, shown[0], shown[1]);
            for (time, (endpoints, _, most)) in times.into_iter().zip(SIZES) {
                match time {
                    Some(time) if time <= most || role == Role::Picker => {}
                    Some(time) => {
                        over.push(format!("{}: {time:?} at {endpoints} endpoints", registration.kind))
                    }
                    None => over.push(format!("{}: its sample does not run the {name}", registration.kind)),
                }
            }
        }
    }
    if "many".contains(&wanted) {
        let (endpoints, _, most) = MANY;
        let time = many();
        println!("a decision with 12 scorers and 4 filters at {endpoints} endpoints: {time:?}");
        if time > most {
            over.push(format!("12 scorers and 4 filters: {time:?} at {endpoints} endpoints"));
        }
    }
    if over.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("over what it may take:\n{}", over.join("\n"));
    ExitCode::FAILURE
}

fn strategy(routing: &str) -> Arc<Strategy> {
    let routing: Value = serde_saphyr::from_str(routing).expect("YAML");
    Arc::new(compile(&routing, Scope::File, &StateStore::default()).expect("it compiles").strategy)
}

/// What the plugin takes in one role of a decision by its sample among `endpoints`: the median of `times`. `None` when no
/// profile runs it.
fn time(plugin: &Registration, role: Role, endpoints: u16, times: usize) -> Option<Duration> {
    let (strategy, view) = (strategy(plugin.sample), pool::view(endpoints));
    let mut stopwatch = Stopwatch::of(plugin.kind, role);
    each(times, |request, cx| {
        // What comes of it does not matter: some samples are for pods of other roles.
        let _ = strategy.route_traced(request, &view, None, Default::default(), cx, &mut stopwatch);
    });
    stopwatch.time(times / 4)
}

/// What a decision takes with many plugins, from a body to an endpoint.
fn many() -> Duration {
    let (endpoints, times, _) = MANY;
    let (strategy, view): (_, View) = (strategy(MANY_PLUGINS), pool::view(endpoints));
    let mut all = Vec::with_capacity(times);
    each(times, |request, cx| {
        let (headers, body) = (request.headers.clone(), request.body.clone());
        let began = Instant::now();
        let request = Request::new(headers, body).expect("a sound body");
        let flight = strategy.route(&request, &view, None, cx);
        all.push(began.elapsed());
        flight.expect("an endpoint").ended(None, Instant::now());
    });
    median(&mut all[times / 4..])
}

/// Decides `times` different requests.
fn each(times: usize, mut decide: impl FnMut(&Request, &mut Cx)) {
    for n in 0..times as u64 {
        let request = pool::request(n);
        decide(&request, &mut Cx::new(Instant::now(), n));
    }
}
