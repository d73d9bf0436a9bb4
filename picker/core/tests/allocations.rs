//! A decision takes nothing from the heap: its buffers are used again.
#![allow(clippy::expect_used)]
#![allow(clippy::disallowed_methods, reason = "it makes the time of its decisions")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use picker_core::compile::default_routing;
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::request::Headers;
use picker_core::view::{Reading, Signals};
use picker_core::{Cx, Hot, Request, View};

fn view(count: u8) -> View {
    let (now, mut slots) = (Instant::now(), Slots::default());
    let rows = (0..count).map(|n| {
        let endpoint = slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n}").into(), port: 8000, rank: 0 },
            pod: format!("pod-{n}"),
            namespace: "default".to_owned(),
            address: ([10, 0, 0, n], 8000).into(),
            labels: Labels::new(),
        });
        let signals = Signals {
            waiting: Some(f32::from(n)),
            running: Some(1.0),
            kv_usage: Some(0.1),
            block_size: Some(16),
            num_blocks: Some(10_000),
            cache_tokens: None,
            lora: None,
            models: None,
            others: Vec::new(),
        };
        (Arc::new(endpoint), Reading { signals, at: Some(now) })
    });
    View::build(rows.collect(), now, Duration::from_secs(60))
}

fn request() -> Request {
    let headers = [(":path", "/v1/completions"), ("content-type", "application/json")];
    let headers = headers.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).into();
    let body = format!(r#"{{"model": "m", "prompt": "{}"}}"#, "x".repeat(20_000));
    Request::new(Headers(headers), Bytes::from(body)).expect("a sound body")
}

/// Allocations of the third decision over `count` endpoints, by `routing`.
fn allocations(count: u8, routing: &serde_json::Value) -> u64 {
    let hot = Hot::default();
    hot.offer(routing, Scope::Resource);
    let strategy = hot.current().expect("the routing compiles");
    let (view, request) = (view(count), request());
    let mut cx = Cx::new(Instant::now(), 1);
    let mut route = || strategy.route(&request, &view, None, &mut cx).expect("endpoints");
    let first = route();
    drop(route());
    let counted = allocation_counter::measure(|| {
        // It finds the prompt where it was sent first.
        assert_eq!(route().endpoint().id, first.endpoint().id);
    });
    counted.count_total
}

#[test]
fn a_decision_over_8_endpoints_allocates_nothing() {
    assert_eq!(allocations(8, &default_routing()), 0);
}

#[test]
fn a_decision_over_200_endpoints_allocates_nothing() {
    assert_eq!(allocations(200, &default_routing()), 0);
}

#[test]
fn a_decision_among_groups_of_pods_allocates_nothing() {
    let types = [
        "pd-group-filter",
        "pd-kvcache-aware-scorer",
        "kvcache-aware-scorer",
        "min-score-picker",
        "pd-header-handler",
    ];
    let plugins = types.map(|kind| serde_json::json!({"type": kind}));
    assert_eq!(allocations(200, &serde_json::json!({"plugins": plugins})), 0);
}
