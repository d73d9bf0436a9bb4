use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::prepare::Prepared;
use picker_core::request::Headers;
use picker_core::view::{Reading, Signals};
use picker_core::{Cx, Hot, Strategy};
use serde_json::{Value, json};

use super::*;

/// A text that no explanation may have.
const CANARY: &str = "canary-6f1c";

/// Pods with these numbers of waiting requests, and these labels.
fn view(pods: &[(f32, &str, &str)]) -> View {
    let mut slots = Slots::default();
    let rows = pods.iter().enumerate().map(|(n, (waiting, label, value))| {
        let endpoint = slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n:04}").into(), port: 8000, rank: 0 },
            pod: format!("pod-{n}"),
            namespace: "ns".to_owned(),
            address: ([10, 0, (n / 256) as u8, n as u8], 8000).into(),
            labels: Labels::from([((*label).to_owned(), (*value).to_owned())]),
        });
        let signals = Signals {
            waiting: Some(*waiting),
            running: Some(waiting + 1.0),
            kv_usage: Some(waiting / 10.0),
            ..Signals::default()
        };
        (Arc::new(endpoint), Reading { signals, at: Some(Instant::now()) })
    });
    View::build(rows.collect(), Instant::now(), Duration::from_secs(60))
}

fn three() -> View {
    view(&[(4.0, "track", "stable"), (1.0, "track", "stable"), (0.0, "track", "canary")])
}

fn strategy(routing: &Value) -> Arc<Strategy> {
    let hot = Hot::default();
    hot.offer(routing, Scope::Resource);
    hot.current().unwrap()
}

fn by_track(pods: &str) -> Arc<Strategy> {
    strategy(&json!({
        "plugins": [
            {"type": "label-selector-filter", "name": "track", "parameters": {"matchLabels": {"track": pods}}},
            {"type": "queue-scorer"},
            {"type": "active-request-scorer"},
        ],
        "schedulingProfiles": [{"name": "default", "plugins": [
            {"pluginRef": "track"},
            {"pluginRef": "queue-scorer", "weight": 2},
            {"pluginRef": "active-request-scorer"},
        ]}],
        "explain": {"samplePercent": 100},
    }))
}

fn with_headers(headers: &[(&str, &str)], body: Value) -> Request {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let headers = headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
    Request::new(Headers(headers), Bytes::from(body.to_string())).unwrap()
}

fn request(id: &str) -> Request {
    with_headers(&[("x-request-id", id)], json!({"model": "m", "prompt": CANARY}))
}

/// Routes `request`, and keeps the decision. Times are zero.
fn route(decisions: &Decisions, strategy: &Strategy, request: &Request, view: &View) {
    let (mut cx, mut explain) = (Cx::new(Instant::now(), 1), Explain::default());
    let routed = strategy.route_traced(request, view, None, Prepared::default(), &mut cx, &mut explain);
    let outcome = match &routed {
        Ok(flight) => {
            let key = flight.endpoint().key;
            Ok(view.endpoints.iter().position(|e| e.key == key).unwrap() as u32)
        }
        Err(refusal) => Err(refusal.kind.row().name),
    };
    let revision = strategy.revision.clone();
    decisions.keep(view, |places| Kept::of(request, revision, outcome, Duration::ZERO, explain, places));
}

fn pages(decisions: &Decisions) -> Vec<Value> {
    decisions.kept().iter().map(|kept| page(kept, None)).collect()
}

/// Recomputes each pick of `page` from the steps before it, and returns how many there are.
fn recomputed(page: &Value) -> usize {
    let (mut sums, mut picks) = (BTreeMap::<String, f64>::new(), 0);
    for step in page["steps"].as_array().unwrap() {
        if step["profile"].is_string() {
            sums.clear();
        } else if let Some(scores) = step["scores"].as_array() {
            for score in scores {
                let sum = sums.entry(score["endpoint"].as_str().unwrap().to_owned()).or_default();
                *sum += step["weight"].as_f64().unwrap() * score["score"].as_f64().unwrap();
            }
        } else if let Some(totals) = step["totals"].as_array() {
            let best = sums.values().copied().fold(f64::NEG_INFINITY, f64::max);
            for total in totals {
                let sum = sums.get(total["endpoint"].as_str().unwrap()).copied().unwrap_or(0.0);
                assert!((total["total"].as_f64().unwrap() - sum).abs() < 1e-5, "{total} {sum}");
            }
            let picked = step["picked"][0].as_str().unwrap();
            assert!(sums.is_empty() || (sums[picked] - best).abs() < 1e-5, "{picked} {sums:?}");
            picks += 1;
        }
    }
    picks
}

/// Whoever reads it can work out the choice: the highest sum of weight times score.
#[test]
fn every_step_is_on_the_page_and_the_choice_follows_from_it() {
    let decisions = Decisions::default();
    let strategy = by_track("stable");
    route(&decisions, &strategy, &request("id-1"), &three());
    let pages = pages(&decisions);
    assert_eq!(recomputed(&pages[0]), 1);
    let expected = json!({
        "at": null,
        "tookMicroseconds": 0.0,
        "requestId": "id-1",
        "model": "m",
        "revision": *strategy.revision,
        "endpoint": "pod-1-rank-0",
        "address": "10.0.0.1:8000",
        "refused": null,
        "candidates": ["pod-0-rank-0", "pod-1-rank-0", "pod-2-rank-0"],
        "steps": [
            {"profile": "default"},
            {
                "filter": "track",
                "remaining": ["pod-0-rank-0", "pod-1-rank-0"],
                "removed": [{"endpoint": "pod-2-rank-0", "why": "label track is canary"}],
            },
            {"scorer": "queue-scorer", "weight": 2.0, "scores": [
                {"endpoint": "pod-0-rank-0", "score": 0.0, "inputs": {"waiting": 4.0}},
                {"endpoint": "pod-1-rank-0", "score": 1.0, "inputs": {"waiting": 1.0}},
            ]},
            {"scorer": "active-request-scorer", "weight": 1.0, "scores": [
                {"endpoint": "pod-0-rank-0", "score": 1.0, "inputs": {"inFlight": 0.0}},
                {"endpoint": "pod-1-rank-0", "score": 1.0, "inputs": {"inFlight": 0.0}},
            ]},
            {
                "picker": "max-score-picker",
                "picked": ["pod-1-rank-0"],
                "totals": [
                    {"endpoint": "pod-0-rank-0", "total": 1.0},
                    {"endpoint": "pod-1-rank-0", "total": 3.0},
                ],
                "ties": [],
            },
            {"destination": "default", "edits": {}},
        ],
    });
    assert_eq!(pages[0], expected);
}

/// Encode, prefill and decode, as it is on the page. The prompt and what the client's headers say is not there.
#[test]
fn a_decision_of_three_profiles() {
    let strategy = strategy(&json!({
        "plugins": [
            {"type": "disagg-profile-handler", "parameters": {"deciders": {
                "prefill": "always-disagg-pd-decider", "encode": "always-disagg-multimodal-decider"}}},
            {"type": "always-disagg-pd-decider"},
            {"type": "always-disagg-multimodal-decider"},
            {"type": "decode-filter"}, {"type": "prefill-filter"}, {"type": "encode-filter"},
            {"type": "queue-scorer"}, {"type": "kv-cache-utilization-scorer"}, {"type": "prefix-cache-scorer"},
            {"type": "session-affinity-scorer"},
            {"type": "utilization-filter", "parameters": {"conditions": [{"metric": "waiting-queue", "maxValue": 5}]}},
        ],
        "schedulingProfiles": [
            {"name": "decode", "plugins": [
                {"pluginRef": "decode-filter"}, {"pluginRef": "utilization-filter"},
                {"pluginRef": "prefix-cache-scorer", "weight": 2}, {"pluginRef": "queue-scorer", "weight": 1.5},
                {"pluginRef": "kv-cache-utilization-scorer"}, {"pluginRef": "session-affinity-scorer"}]},
            {"name": "prefill", "plugins": [{"pluginRef": "prefill-filter"}, {"pluginRef": "queue-scorer"}]},
            {"name": "encode", "plugins": [{"pluginRef": "encode-filter"}, {"pluginRef": "queue-scorer"}]},
        ],
    }));
    let role = "llm-d.ai/role";
    let view = view(&[
        (2.0, role, "decode"),
        (1.0, role, "decode"),
        (7.0, role, "decode"),
        (3.0, role, "prefill"),
        (0.0, role, "prefill"),
        (0.0, role, "encode"),
    ]);
    let image =
        json!({"type": "image_url", "image_url": {"url": format!("https://example.com/{CANARY}.png")}});
    let text = json!({"type": "text", "text": format!("{CANARY} ").repeat(400)});
    let headers = [
        ("x-request-id", "id-1"),
        ("content-type", "application/json"),
        (":path", "/v1/chat/completions"),
        ("x-session-token", CANARY),
        ("x-session-id", CANARY),
        ("authorization", CANARY),
        ("cookie", CANARY),
    ];
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": [text, image]}]});
    let decisions = Decisions::default();
    route(&decisions, &strategy, &with_headers(&headers, chat), &view);
    let mut pages = pages(&decisions);
    assert_eq!(recomputed(&pages[0]), 3);
    let text = format!("{:#}\n", pages[0]);
    assert!(!text.contains(CANARY), "{text}");
    pages[0]["revision"] = "(revision)".into();
    insta::assert_snapshot!(format!("{:#}", pages[0]));
}

#[test]
fn a_refused_request_is_kept_with_the_reason() {
    let decisions = Decisions::default();
    route(&decisions, &by_track("none"), &request("id-1"), &three());
    let page = &pages(&decisions)[0];
    assert_eq!((&page["refused"], &page["endpoint"]), (&json!("all-filtered"), &Value::Null));
    assert_eq!(page["steps"][1]["remaining"], json!([]));
    assert_eq!(page["steps"][1]["removed"].as_array().unwrap().len(), 3);
}

/// However many there are, whatever clients write into their headers, and however often pods come and go: the ring of a peer
/// grew with each of them.
#[test]
fn the_newest_are_kept_within_a_bound_of_bytes() {
    let decisions = Decisions::default();
    let strategy = by_track("stable");
    let pods = vec![(1.0, "track", "stable"); 40];
    let mut views: Vec<_> = (1..=40).map(|n| view(&pods[..n])).collect();
    views.truncate(40);
    for n in 0..3000 {
        let id = format!("{n}-{}", "ä".repeat(n % 300));
        route(&decisions, &strategy, &request(&id), &views[n / 7 % views.len()]);
    }
    let kept = decisions.kept();
    let mut bytes: usize = kept.iter().map(|kept| kept.bytes()).sum();
    let mut places: Vec<_> = kept.iter().map(|kept| Arc::as_ptr(&kept.places)).collect();
    places.dedup();
    let all: BTreeMap<_, _> =
        kept.iter().map(|kept| (Arc::as_ptr(&kept.places), kept.places.bytes())).collect();
    assert_eq!(places.len(), all.len());
    bytes += all.values().sum::<usize>();
    assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES - 16_384, "{bytes}");
    assert_eq!(decisions.0.lock().unwrap().bytes, bytes);
    let ids: Vec<_> = kept.iter().map(|kept| kept.request_id.clone().unwrap()).collect();
    assert!(ids.iter().all(|id| id.len() <= MAX_NAME));
    let number = |id: &String| id.split('-').next().unwrap().parse::<usize>().unwrap();
    let numbers: Vec<_> = ids.iter().map(number).collect();
    assert_eq!(numbers, (3000 - kept.len()..3000).rev().collect::<Vec<_>>());
    // Pods that are gone are not held by what is kept of them.
    let gone = Arc::downgrade(&views[0].endpoints[0]);
    drop(views);
    assert!(gone.upgrade().is_none());
}

/// Readers and writers at the same time see whole decisions.
#[test]
fn many_may_keep_and_read_at_once() {
    let decisions = Decisions::default();
    let (strategy, view) = (by_track("stable"), three());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (decisions, strategy, view) = (&decisions, &strategy, &view);
            scope.spawn(move || {
                for n in 0..100 {
                    route(decisions, strategy, &request(&format!("{thread}-{n}")), view);
                    decisions.kept().iter().for_each(|kept| assert_eq!(kept.steps.len(), 6));
                }
            });
        }
    });
    assert_eq!(decisions.kept().len(), 400);
}

fn explained(strategy: &Strategy, view: &View) -> Explain {
    let (mut cx, mut explain) = (Cx::new(Instant::now(), 1), Explain::default());
    let request = request("id");
    let _ = strategy.route_traced(&request, view, None, Prepared::default(), &mut cx, &mut explain);
    explain
}

#[test]
fn the_brief_form_has_the_nearest_endpoints() {
    let (strategy, view) = (by_track("stable"), three());
    let text = brief(&explained(&strategy, &view), "r", &view);
    let expected = json!({"revision": "r", "profiles": [{
        "profile": "default",
        "picker": "max-score-picker",
        "picked": ["pod-1-rank-0"],
        "candidates": 2,
        "ties": 0,
        "nearest": [
            {"endpoint": "pod-1-rank-0", "total": 3.0,
             "scores": {"queue-scorer": 1.0, "active-request-scorer": 1.0}},
            {"endpoint": "pod-0-rank-0", "total": 1.0,
             "scores": {"queue-scorer": 0.0, "active-request-scorer": 1.0}},
        ],
        "removed": {"track": 1},
        "weights": {"queue-scorer": 2.0, "active-request-scorer": 1.0},
    }]});
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
}

/// Whatever a configuration calls its plugins, it stands in a header.
#[test]
fn the_brief_form_is_short_and_ascii() {
    let name = |n: usize, long: usize| format!("ü\u{1f600}\u{7f}\n{n}{}", "x".repeat(long));
    for (scorers, long) in [(1, 0), (12, 20), (3, 200), (40, 300)] {
        let plugins: Vec<_> =
            (0..scorers).map(|n| json!({"type": "queue-scorer", "name": name(n, long)})).collect();
        let strategy = strategy(&json!({"plugins": plugins}));
        let view = view(&vec![(1.0, "track", "stable"); 300]);
        let text = brief(&explained(&strategy, &view), "r", &view);
        assert!(text.len() <= 4096 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        match &page["truncated"] {
            Value::Null => assert_eq!(page["profiles"][0]["candidates"], 300),
            truncated => assert_eq!((truncated, scorers), (&json!(true), 40)),
        }
        if scorers == 1 {
            assert_eq!(page["profiles"][0]["weights"], json!({name(0, 0): 1.0}));
            assert_eq!(page["profiles"][0]["nearest"].as_array().unwrap().len(), 8);
        }
    }
}
