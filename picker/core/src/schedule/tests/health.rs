//! Endpoints that fail, in the decision.

use super::*;
use crate::health::{Phase, Reason, Verdict};
use crate::testing::{labelled, strategy as of_plugins};

/// A decision at `now` with its steps.
fn explained(strategy: &Strategy, view: &View, now: Instant, seed: u64) -> (Flight, Vec<Step>) {
    let (mut cx, mut explain) = (Cx::new(now, seed), Explain::default());
    let prepared = Prepared::default();
    let flight = strategy.route_traced(&Request::default(), view, None, prepared, &mut cx, &mut explain);
    (flight.unwrap(), explain.steps)
}

/// The pods that `count` requests go to, one after the other.
fn chosen(strategy: &Strategy, view: &View, now: Instant, count: u64) -> Vec<String> {
    let mut pods: Vec<_> =
        (0..count).map(|seed| explained(strategy, view, now, seed).0.endpoint().pod.clone()).collect();
    pods.sort();
    pods.dedup();
    pods
}

/// The endpoint at `i` answers an error at `now`.
fn fail(view: &View, i: usize, now: Instant) {
    view.endpoints[i].health().report(Verdict::ServerError, now, true, 1, now);
}

fn phase(view: &View, i: usize, now: Instant) -> Phase {
    view.endpoints[i].health().status(now).phase
}

/// Later than any first ejection.
fn later(now: Instant) -> Instant {
    now + Duration::from_millis(1_300)
}

fn at_random() -> Arc<Strategy> {
    of_plugins("plugins: [{type: random-picker}]")
}

#[test]
fn one_that_fails_gets_nothing_and_the_explanation_says_so() {
    let (strategy, view, now) = (at_random(), unknown(3), Instant::now());
    assert_eq!(chosen(&strategy, &view, now, 50), ["pod-0", "pod-1", "pod-2"]);
    fail(&view, 1, now);
    assert_eq!(chosen(&strategy, &view, now, 50), ["pod-0", "pod-2"]);
    let (_, steps) = explained(&strategy, &view, now, 1);
    assert_eq!(steps[1], Step::Avoided { endpoints: vec![1], applied: true });
}

#[test]
fn when_too_many_fail_it_is_as_if_none_did() {
    let (strategy, view, now) = (at_random(), unknown(3), Instant::now());
    fail(&view, 1, now);
    fail(&view, 2, now);
    assert_eq!(chosen(&strategy, &view, now, 50), ["pod-0", "pod-1", "pod-2"]);
    let (_, steps) = explained(&strategy, &view, now, 1);
    assert_eq!(steps[1], Step::Avoided { endpoints: vec![1, 2], applied: false });
    fail(&view, 0, now);
    assert_eq!(chosen(&strategy, &view, now, 50), ["pod-0", "pod-1", "pod-2"]);

    let brave = of_plugins("{plugins: [{type: random-picker}], health: {maxEjectionPercent: 70}}");
    view.endpoints[0].health().forget();
    assert_eq!(chosen(&brave, &view, now, 50), ["pod-0"]);
    let timid = of_plugins("{plugins: [{type: random-picker}], health: {maxEjectionPercent: 0}}");
    view.endpoints[2].health().forget();
    assert_eq!(chosen(&timid, &view, now, 50), ["pod-0", "pod-1", "pod-2"]);
    let off = of_plugins("{plugins: [{type: random-picker}], health: {enabled: false}}");
    assert_eq!(chosen(&off, &view, now, 50), ["pod-0", "pod-1", "pod-2"]);
}

#[test]
fn the_only_one_that_the_gateway_allows_is_named_although_it_fails() {
    let (strategy, view, now) = (at_random(), unknown(4), Instant::now());
    fail(&view, 1, now);
    let subset = [Address::parse("10.0.0.1").unwrap()];
    let flight = strategy.route(&Request::default(), &view, Some(&subset), &mut Cx::new(now, 1));
    assert_eq!(pods(&flight.unwrap()), ["pod-1"]);
}

#[test]
fn the_share_is_that_of_the_endpoints_that_a_profile_is_for() {
    let strategy = of_plugins("plugins: [{type: decode-filter}, {type: random-picker}]");
    let [decode, prefill] = ["decode", "prefill"].map(|role| [("llm-d.ai/role", role)]);
    let view =
        labelled([&decode[..], &decode, &decode, &prefill, &prefill, &prefill, &prefill, &prefill, &prefill]);
    let now = Instant::now();
    fail(&view, 0, now);
    assert_eq!(chosen(&strategy, &view, now, 50), ["pod-1", "pod-2"]);
    // Two of three that decode, though two of nine in all.
    fail(&view, 1, now);
    assert_eq!(chosen(&strategy, &view, now, 50), ["pod-0", "pod-1", "pod-2"]);
}

#[test]
fn a_filter_that_leaves_only_one_that_fails_is_asked_again() {
    let profile = profile_of(vec![Arc::new(Keep(&[1]))], vec![], pick::default());
    let (strategy, view, now) = (strategy(vec![profile]), unknown(3), Instant::now());
    fail(&view, 1, now);
    let (flight, steps) = explained(&strategy, &view, now, 1);
    assert_eq!(pods(&flight), ["pod-1"]);
    let avoided = |applied| Step::Avoided { endpoints: vec![1], applied };
    let filtered = |left: &[u32], removed: &[u32]| Step::Filtered {
        plugin: "filter".into(),
        left: left.to_vec(),
        removed: vec![Removed { why: None, endpoints: removed.to_vec() }],
        inputs: vec![],
    };
    assert_eq!(
        steps[1..],
        [
            avoided(true),
            filtered(&[], &[0, 2]),
            avoided(false),
            filtered(&[1], &[0, 2]),
            Step::Picked { plugin: "picker".into(), picked: vec![1], totals: vec![(1, 0.0)], ties: vec![] },
            Step::Launched { primary: 0, edits: Edited::default() },
        ]
    );
}

#[test]
fn a_session_leaves_an_endpoint_that_fails() {
    // What keeps a request at an endpoint keeps none there that fails: the filter is asked of the others alone.
    let profile =
        profile_of(vec![Arc::new(Keep(&[1, 2]))], vec![(1.0, Fixed(&[0.0, 1.0, 0.5]))], pick::default());
    let (strategy, view, now) = (strategy(vec![profile]), unknown(3), Instant::now());
    assert_eq!(pods(&explained(&strategy, &view, now, 1).0), ["pod-1"]);
    fail(&view, 1, now);
    assert_eq!(pods(&explained(&strategy, &view, now, 1).0), ["pod-2"]);
}

#[test]
fn one_request_at_a_time_is_a_trial_until_it_succeeds() {
    let (strategy, view) = (of_plugins("plugins: [{type: active-request-scorer}]"), unknown(2));
    let now = Instant::now();
    // The other has more requests, so all would go to the one that fails.
    let _busy: Vec<_> = (0..3).map(|_| Launched::on(&view, 0)).collect();
    fail(&view, 1, now);
    let now = later(now);
    let (mut trial, _) = explained(&strategy, &view, now, 1);
    assert_eq!((pods(&trial), phase(&view, 1, now)), (vec!["pod-1"], Phase::Trial));
    let (other, _) = explained(&strategy, &view, now, 1);
    assert_eq!(pods(&other), ["pod-0"]);
    // Its error came late: nothing is known, and the next may try.
    trial.judge(Verdict::ServerError, || now + Duration::from_secs(5));
    assert_eq!(phase(&view, 1, now), Phase::Due);
    let (cut, _) = explained(&strategy, &view, now, 1);
    assert_eq!((pods(&cut), phase(&view, 1, now)), (vec!["pod-1"], Phase::Trial));
    drop(cut);
    assert_eq!(phase(&view, 1, now), Phase::Due);
    let (mut third, _) = explained(&strategy, &view, now, 1);
    third.judge(Verdict::Succeeded, || now);
    assert_eq!(phase(&view, 1, now), Phase::Healthy);
    drop(third);
    assert!(!view.health.any());
}

/// A request on an endpoint, from outside of the strategy.
struct Launched(Arc<crate::endpoint::Endpoint>);

impl Launched {
    fn on(view: &View, i: usize) -> Self {
        view.endpoints[i].live().add(Load { requests: 1, tokens: 0 });
        Self(view.endpoints[i].clone())
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        self.0.live().give_back(Load { requests: 1, tokens: 0 });
    }
}

#[test]
fn a_trial_that_is_not_picked_is_given_back() {
    let profile = |filter: Arc<dyn Filter>| {
        strategy(vec![profile_of(vec![filter], vec![(1.0, Fixed(&[1.0, 0.0, 0.0]))], pick::default())])
    };
    let (view, start) = (unknown(3), Instant::now());
    fail(&view, 1, start);
    let now = later(start);
    let (flight, _) = explained(&profile(Arc::new(Keep(&[0, 1]))), &view, now, 1);
    assert_eq!((pods(&flight), phase(&view, 1, now)), (vec!["pod-0"], Phase::Due));
    // Nobody is left, and nothing is booked.
    let refused = profile(Arc::new(Keep(&[]))).route(&Request::default(), &view, None, &mut Cx::new(now, 1));
    assert_eq!(refused.unwrap_err().kind, RefusalKind::AllFiltered);
    assert_eq!(phase(&view, 1, now), Phase::Due);
    // A plugin that panics keeps no trial either.
    let broken = profile(Arc::new(Broken));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = broken.route(&Request::default(), &view, None, &mut Cx::new(now, 1));
    }));
    assert!(panicked.is_err());
    assert_eq!(phase(&view, 1, now), Phase::Due);
}

#[test]
fn many_that_are_due_are_tried_one_by_one() {
    let (strategy, view, start) = (at_random(), unknown(8), Instant::now());
    (0..4).for_each(|i| fail(&view, i, start));
    let now = later(start);
    let flights: Vec<_> = (0..64).map(|seed| explained(&strategy, &view, now, seed).0).collect();
    let failing = |flight: &&Flight| ["pod-0", "pod-1", "pod-2", "pod-3"].contains(&pods(flight)[0]);
    let mut tried: Vec<_> = flights.iter().filter(failing).map(|flight| pods(flight)[0]).collect();
    tried.sort_unstable();
    let before = tried.len();
    tried.dedup();
    assert_eq!((before, tried), (4, vec!["pod-0", "pod-1", "pod-2", "pod-3"]));
}

#[test]
fn another_strategy_knows_what_failed_under_the_last() {
    let (view, now) = (unknown(3), Instant::now());
    let (mut flight, _) = explained(&at_random(), &view, now, 1);
    flight.judge(Verdict::ServerError, || now);
    let failed = pods(&flight)[0].to_owned();
    let other = of_plugins("plugins: [{type: queue-scorer}]");
    assert!(!chosen(&other, &view, now, 50).contains(&failed));
    // And says itself what is fast.
    let slow = of_plugins("{plugins: [{type: random-picker}], health: {fastFailure: 10ms}}");
    let view = unknown(3);
    let (mut flight, _) = explained(&slow, &view, now, 1);
    flight.judge(Verdict::ServerError, || now + Duration::from_millis(10));
    assert!(!view.health.any());
    flight.judge(Verdict::ServerError, || now + Duration::from_millis(9));
    assert!(view.health.any());
}

/// A strategy with a prefill server for each request, and two endpoints for each part, those that decode first.
fn disaggregated() -> (Arc<Strategy>, View) {
    let strategy = of_plugins(
        "
plugins:
- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}
- {type: always-disagg-pd-decider}
- {type: decode-filter}
- {type: prefill-filter}
- {type: random-picker}
schedulingProfiles:
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: random-picker}]}
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: random-picker}]}
",
    );
    let view = labelled([
        &[("llm-d.ai/role", "decode")][..],
        &[("llm-d.ai/role", "decode")],
        &[("llm-d.ai/role", "prefill")],
        &[("llm-d.ai/role", "prefill")],
    ]);
    (strategy, view)
}

#[test]
fn of_several_endpoints_of_a_request_only_the_destination_is_judged() {
    let (strategy, view) = disaggregated();
    let now = Instant::now();
    let (mut flight, _) = explained(&strategy, &view, now, 1);
    flight.judge(Verdict::ServerError, || now);
    let ejected: Vec<_> = (0..4).filter(|&i| phase(&view, i, now) == Phase::Ejected).collect();
    let destination = view.endpoints.iter().position(|endpoint| Arc::ptr_eq(endpoint, flight.endpoint()));
    assert_eq!(ejected, Vec::from_iter(destination));
}

#[test]
fn an_error_of_a_request_that_tries_a_prefill_server_is_put_down_to_that() {
    let (strategy, view) = disaggregated();
    let start = Instant::now();
    fail(&view, 2, start);
    let now = later(start);
    // Trials are of whoever is picked: both prefill servers are as likely.
    let tries = |seed| {
        let (flight, _) = explained(&strategy, &view, now, seed);
        (phase(&view, 2, now) == Phase::Trial).then_some(flight)
    };
    let mut trial = (0..50).find_map(tries).unwrap();
    trial.judge(Verdict::ServerError, || now);
    let phases = [0, 1, 2, 3].map(|i| phase(&view, i, now));
    assert_eq!(phases, [Phase::Healthy, Phase::Healthy, Phase::Ejected, Phase::Healthy]);
    let now = now + Duration::from_secs(13);
    let tries = |seed| {
        let (flight, _) = explained(&strategy, &view, now, seed);
        (phase(&view, 2, now) == Phase::Trial).then_some(flight)
    };
    (0..50).find_map(tries).unwrap().judge(Verdict::Succeeded, || now);
    assert!(!view.health.any());
}

#[test]
fn targets_that_the_gateway_passed_over_fail_as_with_an_error_of_theirs() {
    let (strategy, view, now) = (
        of_plugins("plugins: [{type: random-picker, parameters: {maxNumOfEndpoints: 3}}]"),
        unknown(4),
        Instant::now(),
    );
    let (mut flight, _) = explained(&strategy, &view, now, 1);
    let targets: Vec<_> = flight.targets().to_vec();
    flight.judge_passed_over("10.9.9.9:1".parse().unwrap(), now);
    flight.judge_passed_over(targets[0].address, now);
    // The first one may have been slow, and not failed.
    flight.judge_passed_over(targets[1].address, now + Duration::from_secs(1));
    assert!(!view.health.any());
    flight.judge_passed_over(targets[1].address, now);
    let phases = targets.iter().map(|target| target.health().status(now).phase);
    assert_eq!(phases.collect::<Vec<_>>(), [Phase::Ejected, Phase::Healthy, Phase::Healthy]);
    assert_eq!(targets[0].health().status(now).reason, Reason::Unreachable);
}

#[test]
fn targets_are_passed_over_as_often_as_errors_are_borne() {
    let (strategy, view, start) = (
        of_plugins("plugins: [{type: random-picker, parameters: {maxNumOfEndpoints: 2}}]"),
        unknown(2),
        Instant::now(),
    );
    // An ejection that turned out to be rash.
    fail(&view, 0, start);
    let now = later(start);
    (0..50).map(|seed| explained(&strategy, &view, now, seed).0).for_each(|mut flight| {
        flight.judge(Verdict::Succeeded, || now);
    });
    assert!(!view.health.any());
    let passed_over = || {
        let first = |flight: &Flight| Arc::ptr_eq(flight.endpoint(), &view.endpoints[0]);
        let mut flights = (0..50).map(|seed| explained(&strategy, &view, now, seed).0);
        let mut flight = flights.find(first).unwrap();
        flight.judge_passed_over(view.endpoints[1].address, now);
        view.health.any()
    };
    assert_eq!([passed_over(), passed_over()], [false, true]);
}

/// What ten minutes of a pool come to in which a client sends requests that every server answers an error to at once.
#[derive(Debug, Default)]
struct Minutes {
    /// Of eight endpoints that work, how many are left alone, on average.
    left_alone: f64,
    /// Errors to requests that are not to blame themselves.
    failed: usize,
}

/// So many of a hundred requests are `bad`, of ten a second; the last endpoint fails all of them where one `broken` is.
fn ten_minutes(bad: usize, broken: bool) -> Minutes {
    let (strategy, view, start) = (at_random(), unknown(8 + usize::from(broken)), Instant::now());
    let mut lots = Cx::new(start, 7);
    let mut minutes = Minutes::default();
    let decisions = 6_000;
    for n in 0..decisions {
        let now = start + Duration::from_millis(100 * n);
        let (mut flight, steps) = explained(&strategy, &view, now, n);
        let avoided = steps.iter().find_map(|step| match step {
            Step::Avoided { endpoints, applied: true } => Some(endpoints.iter().filter(|i| **i < 8).count()),
            _ => None,
        });
        minutes.left_alone += avoided.unwrap_or(0) as f64 / decisions as f64;
        let at_fault = broken && Arc::ptr_eq(flight.endpoint(), &view.endpoints[8]);
        let (is_bad, then) = (lots.below(100) < bad, now + Duration::from_millis(5));
        minutes.failed += usize::from(at_fault && !is_bad);
        flight.judge(if is_bad || at_fault { Verdict::ServerError } else { Verdict::Succeeded }, || then);
    }
    minutes
}

#[test]
fn requests_that_fail_everywhere_keep_no_part_of_a_pool_ejected() {
    let left_alone = [1, 5, 20, 50, 80].map(|bad| ten_minutes(bad, false).left_alone);
    assert!(left_alone.iter().all(|left_alone| *left_alone < 0.4), "{left_alone:?}");
    assert_eq!(ten_minutes(0, false).left_alone, 0.0);
}

#[test]
fn a_server_that_fails_is_found_among_requests_that_fail_everywhere() {
    // About a trial in half a minute, and what is borne before it is ejected.
    let failed = [0, 1, 5, 20, 50].map(|bad| ten_minutes(bad, true).failed);
    assert!(failed.iter().all(|failed| *failed < 100), "{failed:?}");
}
