use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::Scope;
use crate::cx::Cx;
use crate::edits::Edits;
use crate::health::{Phase, Verdict};
use crate::hot::Hot;
use crate::inputs::Input;
use crate::plugins::builtin;
use crate::prepare::Prepared;
use crate::request::Request;
use crate::strategy::Strategy;
use crate::testing::{labelled, request, strategy, unknown, view, with_headers};
use crate::view::{Address, Signals, View};

fn explained(strategy: &Strategy, request: &Request, view: &View, seed: u64) -> Explain {
    let mut explain = Explain::default();
    let mut cx = Cx::new(Instant::now(), seed);
    let _ = strategy.route_traced(request, view, None, Prepared::default(), &mut cx, &mut explain);
    explain
}

fn signals(waiting: f32, kv_usage: f32) -> Signals {
    Signals { waiting: Some(waiting), kv_usage: Some(kv_usage), ..Signals::default() }
}

/// Columns and facts need no code of the plugin that reads them.
#[test]
fn scorers_are_told_with_the_columns_and_facts_that_they_read() {
    let strategy = strategy(
        "
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: active-request-scorer
",
    );
    let view = view([signals(3.0, 0.5), signals(1.0, 0.25)]);
    let prompt = request("m", &"word ".repeat(200));
    // The second one sees what the first one left.
    let first = explained(&strategy, &prompt, &view, 1);
    let Some(Step::Picked { picked, .. }) = first.steps.iter().rev().nth(1) else { panic!("{first:?}") };
    assert_eq!(picked, &[1]);
    let second = explained(&strategy, &prompt, &view, 1);
    let inputs = |plugin: &str| {
        let of = |step: &Step| match step {
            Step::Scored { plugin: other, inputs, .. } if **other == *plugin => Some(inputs.clone()),
            _ => None,
        };
        second.steps.iter().find_map(of).unwrap()
    };
    let input = |name: &str, values: &[f32]| Input { name: name.into(), values: values.into() };
    assert_eq!(inputs("queue-scorer"), [input("waiting", &[3.0, 1.0])]);
    assert_eq!(inputs("kv-cache-utilization-scorer"), [input("kv-usage", &[0.5, 0.25])]);
    assert_eq!(inputs("active-request-scorer"), [input("inFlight", &[0.0, 0.0])]);
    let prefix = inputs("prefix-cache-scorer");
    let (blocks, tokens) = (prefix[1].value(0), prefix[2].value(0));
    assert!(blocks > 1.0 && tokens > 0.0, "{prefix:?}");
    assert_eq!(prefix[0], input("matchedBlocks", &[0.0, blocks]));
    assert_eq!((&*prefix[1].name, &*prefix[2].name), ("promptBlocks", "blockTokens"));
}

#[test]
fn the_totals_are_those_of_the_destination() {
    let routing = json!({
        "plugins": [
            {"type": "disagg-profile-handler", "parameters": {"deciders": {"prefill": "always-disagg-pd-decider"}}},
            {"type": "always-disagg-pd-decider"},
            {"type": "decode-filter"}, {"type": "prefill-filter"},
            {"type": "running-requests-size-scorer"},
        ],
        "schedulingProfiles": [
            {"name": "decode", "plugins": [
                {"pluginRef": "decode-filter"}, {"pluginRef": "running-requests-size-scorer", "weight": 3}]},
            {"name": "prefill", "plugins": [{"pluginRef": "prefill-filter"}]},
        ],
    });
    let strategy = strategy(&routing.to_string());
    let role = |role| [("llm-d.ai/role", role)];
    let roles = [role("decode"), role("prefill"), role("decode")];
    let view = labelled(roles.iter().map(|labels| &labels[..]));
    let mut totals = Totals::default();
    let mut cx = Cx::new(Instant::now(), 1);
    let prompt = request("m", "prompt");
    let routed = strategy.route_traced(&prompt, &view, None, Prepared::default(), &mut cx, &mut totals);
    assert_eq!(totals.of_destination().iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 2]);
    let explain = explained(&strategy, &prompt, &view, 1);
    assert_eq!(explain.totals(), totals.of_destination());
    let Some(Step::Launched { primary: 0, edits }) = explain.steps.last() else { panic!("{explain:?}") };
    let expected = Edited {
        headers: vec![("x-prefiller-host-port".into(), "10.0.0.1:8000".into())],
        ..Edited::default()
    };
    assert_eq!(edits, &expected);
    drop(routed);
}

#[test]
fn steps_are_timed_without_the_time_of_the_trace() {
    static TICKS: AtomicU64 = AtomicU64::new(0);
    fn clock() -> Instant {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *START + Duration::from_millis(TICKS.fetch_add(1, Ordering::Relaxed))
    }
    let mut explain = Explain::timed(clock);
    for name in ["a", "b", "c"] {
        explain.profile(&Arc::from(name));
    }
    assert_eq!(explain.took, [Duration::from_millis(1); 3]);
    assert_eq!(TICKS.load(Ordering::Relaxed), 7);
}

#[test]
fn edits_are_told_without_text_of_the_body() {
    let mut edits = Edits::default();
    edits.set_header("x-a", "1");
    edits.remove_header("x-b");
    edits.splice(0..3, "secret");
    edits.set_destination("10.0.0.1:8001");
    edits.text("ns", "k", "v");
    edits.clear_route();
    let expected = Edited {
        destination: Some("10.0.0.1:8001".into()),
        headers: vec![("x-a".into(), "1".into())],
        removed: vec!["x-b".into()],
        splices: 1,
        metadata: vec![("ns".into(), "k".into(), "v".into())],
        clears_route: true,
    };
    assert_eq!(Edited::of(&edits), expected);
    assert!(!expected.is_empty() && Edited::of(&Edits::default()).is_empty());
}

/// A text that no explanation may have.
const CANARY: &str = "canary-6f1c";

/// Of every plugin type, with its own sample: neither the prompt nor a header of the client is in what is kept.
#[test]
fn no_plugin_tells_prompts_or_headers_of_clients() {
    let labels = [("llm-d.ai/role", "decode"), ("zone", "a")];
    let view = labelled([&labels[..], &[("llm-d.ai/role", "prefill")], &[("llm-d.ai/role", "encode")], &[]]);
    let names = [
        "x-session-id",
        "x-session-token",
        "x-agent-identity",
        "x-gateway-inference-fairness-id",
        "authorization",
        "cookie",
        "test-epp-endpoint-selection",
        "x-client-zone",
        "x-user",
        "x-session-affinity",
        "x-llm-d-session",
        "session-id",
        "x-slo-ttft-ms",
        "x-profile",
        "x-tenant",
        "x-gateway-inference-objective",
    ];
    let mut told = 0;
    for registration in builtin().all() {
        let strategy = strategy(registration.sample);
        // Headers that the sample mentions are there, too.
        let words = registration.sample.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let mentioned = words.filter(|word| word.len() > 2 && word.chars().all(|c| !c.is_ascii_uppercase()));
        let all = names.into_iter().chain(mentioned).map(|name| (name, CANARY));
        let mut asked = request("m", &format!("{CANARY} ").repeat(100));
        asked.headers = with_headers(all).headers;
        for seed in 0..3 {
            let explain = explained(&strategy, &asked, &view, seed);
            let text = format!("{explain:?}");
            assert!(!text.contains(CANARY), "{}: {text}", registration.kind);
            told += explain.steps.len();
        }
    }
    assert!(told > 500, "{told}");
}

/// In-flight requests and tokens at each endpoint, and what `Debug` shows of the view's health.
fn loads(view: &View) -> Vec<(u32, u64)> {
    view.endpoints.iter().map(|e| (e.live().in_flight(), e.live().tokens())).collect()
}

/// A dry run decides as the request that is sent would, and leaves no trace of itself: of every plugin type, requests of one
/// picker that does dry runs before each go where those of another go that does not.
#[test]
fn a_dry_run_decides_the_same_and_changes_nothing() {
    let labels = [("llm-d.ai/role", "decode"), ("zone", "a")];
    let pods =
        || labelled([&labels[..], &[("llm-d.ai/role", "prefill")], &[("llm-d.ai/role", "encode")], &[], &[]]);
    for registration in builtin().all() {
        let (strategies, views) = ([0, 1].map(|_| strategy(registration.sample)), [pods(), pods()]);
        let now = Instant::now();
        let mut sent: [Vec<_>; 2] = Default::default();
        for n in 0..40_u64 {
            let mut asked = request("m", &format!("prompt {} ", n % 4).repeat(300));
            asked.headers = with_headers([("x-session-id", ["a", "b", "c"][(n % 3) as usize])]).headers;
            let route = |which: usize, explain: &mut Explain| {
                let (strategy, view): (&Strategy, &View) = (&strategies[which], &views[which]);
                let mut cx = Cx::new(now + Duration::from_millis(n), n);
                strategy.route_traced(&asked, view, None, Prepared::default(), &mut cx, explain)
            };
            let mut tried = Explain::default();
            let before = loads(&views[0]);
            for _ in 0..2 {
                tried = Explain::default();
                let mut cx = Cx::new(now + Duration::from_millis(n), n);
                let _ = strategies[0].dry_run(&asked, &views[0], &mut cx, &mut tried);
            }
            assert_eq!(loads(&views[0]), before, "{}", registration.kind);
            let mut traces = [Explain::default(), Explain::default()];
            let flights = [0, 1].map(|which| route(which, &mut traces[which]));
            assert_eq!(
                format!("{:?}", tried.steps),
                format!("{:?}", traces[0].steps),
                "{}",
                registration.kind
            );
            for (sent, flight) in sent.iter_mut().zip(flights) {
                // Some requests stay under way.
                let flight = flight.map_err(|refusal| refusal.kind);
                let pods =
                    flight.as_ref().map(|f| f.targets().iter().map(|e| e.pod.clone()).collect::<Vec<_>>());
                sent.push(format!("{pods:?}"));
                if n % 5 == 0 {
                    std::mem::forget(flight);
                }
            }
        }
        assert_eq!(sent[0], sent[1], "{}", registration.kind);
    }
}

/// An endpoint that is due for a trial is tried by a request, and not by a dry run, which says that it would be.
#[test]
fn a_dry_run_begins_no_trial() {
    let strategy = strategy("plugins: [{type: active-request-scorer}]");
    let (view, now) = (unknown(2), Instant::now());
    let health = view.endpoints[0].health();
    // The other one is busy.
    let only = [Address::from(view.endpoints[1].address)];
    let _busy = strategy.route(&Request::default(), &view, Some(&only), &mut Cx::new(now, 1)).unwrap();
    health.report(Verdict::ServerError, now, true, 1, now);
    let later = now + Duration::from_millis(1_300);
    for seed in 0..8 {
        let (mut cx, mut explain) = (Cx::new(later, seed), Explain::default());
        let decided = strategy.dry_run(&Request::default(), &view, &mut cx, &mut explain).unwrap();
        assert_eq!(decided.destination().unwrap()[..], [0]);
        assert_eq!(health.status(later).phase, Phase::Ejected);
    }
    let flight = strategy.route(&Request::default(), &view, None, &mut Cx::new(later, 1)).unwrap();
    assert_eq!((&*flight.endpoint().pod, health.status(later).phase), ("pod-0", Phase::Trial));
}

#[test]
fn the_section_explain_is_read() {
    let hot = Hot::default();
    hot.offer(
        &json!({"explain": {"samplePercent": 25, "metadata": true, "responseHeader": true, "endpointScores": false}}),
        Scope::Resource,
    );
    let explain = hot.current().unwrap().explain;
    assert_eq!((explain.kept, explain.metadata, explain.response_header), (0.25, true, true));
    assert_eq!((explain.endpoint_scores, explain.any(false)), (Some(false), true));
    let off = crate::config::Explained::default();
    assert_eq!((off.any(false), off.any(true)), (false, true));
}

proptest! {
    /// The best total of what is told is the one that was picked, and totals are sums of weight times score.
    #[test]
    fn who_reads_it_can_recompute_the_choice(
        waiting in prop::collection::vec(0.0..20.0_f32, 1..12),
        weights in (0.0..4.0_f64, 0.0..4.0_f64),
        seed in any::<u64>(),
    ) {
        let routing = json!({
            "plugins": [{"type": "queue-scorer"}, {"type": "kv-cache-utilization-scorer"}],
            "schedulingProfiles": [{"name": "default", "plugins": [
                {"pluginRef": "queue-scorer", "weight": weights.0},
                {"pluginRef": "kv-cache-utilization-scorer", "weight": weights.1},
            ]}],
        });
        let strategy = strategy(&routing.to_string());
        let view = view(waiting.iter().map(|&w| signals(w.round(), (w / 20.0).fract())));
        let explain = explained(&strategy, &Request::default(), &view, seed);
        let mut sums = vec![0.0_f32; waiting.len()];
        for step in &explain.steps {
            if let Step::Scored { weight, scores, .. } = step {
                scores.iter().for_each(|(i, score)| sums[*i as usize] += weight * score);
            }
        }
        let Some(Step::Picked { picked, totals, ties, .. }) = explain.steps.iter().rev().nth(1) else {
            return Err(TestCaseError::fail("no pick"));
        };
        let best = sums.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let equal: Vec<u32> = (0..).zip(&sums).filter(|(_, sum)| **sum == best).map(|(i, _)| i).collect();
        prop_assert_eq!(totals, &(0..).zip(sums).collect::<Vec<_>>());
        prop_assert!(equal.contains(&picked[0]));
        prop_assert_eq!(ties, &if equal.len() > 1 { equal } else { vec![] });
    }
}
