use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use super::*;
use crate::ask::Ask;
use crate::config::Scope;
use crate::cx::Cx;
use crate::fact::{Fact, Slot};
use crate::hot::Hot;
use crate::http::NoClient;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Registration, Registry, Role, Roles, Task};
use crate::plugins::{NoParameters, builtin};
use crate::role::{Outside, Preparer, Scorer};
use crate::testing::{request, strategy_with, unknown};
use crate::trace::NoTrace;
use crate::view::Candidates;

/// The endpoint that was looked up.
#[derive(Debug, Default)]
struct Home(Option<usize>);

impl Fact for Home {
    const NAME: &'static str = "home";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("home-lookup");

    fn clear(&mut self) {
        self.0 = None;
    }
}

/// Looks up the endpoint by the model: the model's name is its number. `never` does not come back, and `nothing` is
/// known without waiting.
struct HomeLookup(Slot<Home>);

/// How often a lookup that is polled first is pending.
static PENDING: AtomicUsize = AtomicUsize::new(0);

impl Plugin for HomeLookup {
    const TYPE: &'static str = "home-lookup";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::Waypost;
    const SUMMARY: &'static str = "Looks up the endpoint.";
    const ROLES: &'static [Role] = &[Role::Preparer];
    const SAMPLE: &'static str = "plugins: [{type: home-lookup}]";
    type Params = NoParameters;

    fn build(_: NoParameters, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { preparer: Some(Arc::new(Self(cx.provides()))), ..Roles::default() })
    }
}

impl Preparer for HomeLookup {
    fn prepare(&self, ask: &Ask<'_>, _: &Outside<'_>) -> Option<Preparation> {
        let (slot, model) = (self.0, ask.request.model()?.to_owned());
        if model == "nothing" {
            return None;
        }
        let mut polled = false;
        Some(Box::pin(poll_fn(move |_| {
            if model == "never" || !std::mem::replace(&mut polled, true) {
                PENDING.fetch_add(1, Ordering::Relaxed);
                return Poll::Pending;
            }
            Poll::Ready(model.parse().map(|home| slot.found(Home(Some(home)))).map_err(|_| "no-number"))
        })))
    }

    fn deadline(&self, _: &Ask<'_>) -> Duration {
        Duration::from_millis(5)
    }
}

/// Prefers the endpoint that was looked up.
struct HomeScorer(Slot<Home>);

impl Plugin for HomeScorer {
    const TYPE: &'static str = "home-scorer";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::Waypost;
    const SUMMARY: &'static str = "Prefers the endpoint that was looked up.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "plugins: [{type: home-scorer}]";
    type Params = NoParameters;

    fn build(_: NoParameters, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { scorer: Some(Arc::new(Self(cx.reads("homeName", None)?))), ..Roles::default() })
    }
}

impl Scorer for HomeScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let home = ask.facts.get(self.0).0;
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            *place = if Some(i) == home { 1.0 } else { 0.0 };
        }
    }
}

fn registry() -> Registry {
    builtin().clone().with(Registration::of::<HomeLookup>()).with(Registration::of::<HomeScorer>())
}

/// Prepares a request for `model`, whose clock stands still until `ticks` polls were made, and routes it; the reasons
/// of what was not found out, and whether it went to endpoint 3 of 4, comes back.
fn prepared(model: &str, ticks: usize) -> (Vec<&'static str>, bool) {
    let strategy = strategy_with(&registry(), "plugins: [{type: home-scorer}]");
    assert!(strategy.prepares());
    let (view, request, now) = (unknown(4), request(model, "prompt"), Instant::now());
    let polls = Arc::new(AtomicUsize::new(0));
    let sleep = |duration| {
        assert_eq!(duration, Duration::from_millis(5));
        let polls = polls.clone();
        poll_fn(move |_| if polls.load(Ordering::Relaxed) >= ticks { Poll::Ready(()) } else { Poll::Pending })
    };
    let mut preparing = Box::pin(strategy.prepare(&request, &view, now, &NoClient, sleep));
    let mut cx = Context::from_waker(Waker::noop());
    let prepared = loop {
        match preparing.as_mut().poll(&mut cx) {
            Poll::Ready(prepared) => break prepared,
            Poll::Pending => polls.fetch_add(1, Ordering::Relaxed),
        };
    };
    let failed = prepared.failed.to_vec();
    let flight = strategy.route_traced(&request, &view, None, prepared, &mut Cx::new(now, 2), &mut NoTrace);
    (failed, flight.unwrap().endpoint().pod == "pod-3")
}

#[test]
fn what_a_preparer_finds_in_time_is_read_by_the_decision() {
    assert_eq!(prepared("3", 100), (vec![], true));
}

#[test]
fn a_request_goes_on_without_what_is_late() {
    assert_eq!(prepared("never", 3).0, [LATE]);
    assert_eq!(prepared("3", 0).0, [LATE]);
    assert_eq!(prepared("three", 100).0, ["no-number"]);
}

#[test]
fn nothing_to_find_out_is_not_waited_for() {
    let before = PENDING.load(Ordering::Relaxed);
    let strategy = strategy_with(&registry(), "plugins: [{type: home-scorer}]");
    let (view, request) = (unknown(1), request("nothing", ""));
    let preparing = strategy.prepare(&request, &view, Instant::now(), &NoClient, |_| std::future::pending());
    let ready = Box::pin(preparing).as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(
        matches!(ready, Poll::Ready(Prepared { findings, failed }) if findings.is_empty() && failed.is_empty())
    );
    assert_eq!(PENDING.load(Ordering::Relaxed), before);
}

#[test]
fn a_process_may_serve_with_plugins_of_its_own() {
    let hot = Hot::new(Box::leak(Box::new(registry())));
    let routing = serde_json::json!({"plugins": [{"type": "home-scorer"}]});
    assert!(matches!(hot.offer(&routing, Scope::Resource), crate::hot::Outcome::Swapped { .. }));
    assert!(matches!(Hot::default().offer(&routing, Scope::Resource), crate::hot::Outcome::Refused(_)));
}
