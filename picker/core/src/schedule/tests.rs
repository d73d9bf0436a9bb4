use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::ask::Picked;
use crate::booking::Until;
use crate::edits::Edits;
use crate::endpoint::Load;
use crate::fact::{Fact, Own, Slot};
use crate::inputs::{Input, Inputs};
use crate::needs::Needs;
use crate::outcome::{Ending, Outcome, ResponseHead, Usage};
use crate::parse::Formats;
use crate::plugins::{pick, profile};
use crate::role::{
    Admitter, BoundHandler, Filter, Observer, Picker, PreRequest, Producer, ResponseWatch, Scorer, Screener,
};
use crate::strategy::{Producing, named};
use crate::testing::unknown;
use crate::trace::{Edited, Explain, Removed, Step};

mod conditional;
mod health;
mod roles;

/// Keeps the positions that it names.
struct Keep(&'static [usize]);

impl Filter for Keep {
    fn filter(&self, _: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        keep.retain(|i| self.0.contains(&i));
    }
}

impl Screener for Keep {
    fn screen(&self, _: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        keep.retain(|i| self.0.contains(&i));
    }
}

struct Broken;

impl Filter for Broken {
    fn filter(&self, _: &Ask<'_>, _: &mut Cx, _: &mut Candidates) {
        panic!("broken");
    }
}

/// Scores position `i` with the `i`-th number.
struct Fixed(&'static [f32]);

impl Scorer for Fixed {
    fn score(&self, _: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        assert!(out.iter().all(|&s| s == 0.0));
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            *place = self.0[i];
        }
    }
}

/// Picks all candidates and notes what it was given.
#[derive(Default)]
struct Noting {
    seen: Mutex<Vec<(Vec<usize>, Vec<f32>)>>,
}

impl Picker for Noting {
    fn pick(&self, _: &Ask<'_>, _: &mut Cx, scored: Scored<'_>) -> Picked {
        self.seen.lock().unwrap().push((scored.candidates.iter().collect(), scored.totals.to_vec()));
        scored.candidates.iter().map(|i| i as u32).collect()
    }
}

/// A fact of the tests.
#[derive(Debug, Default, PartialEq)]
struct Count(u32);

impl Fact for Count {
    const NAME: &'static str = "count";
    const DEFAULT_PRODUCER: Option<&'static str> = None;

    fn clear(&mut self) {
        self.0 = 0;
    }
}

/// Counts one more than `reads` has, and notes what it is told.
struct Listener {
    count: Slot<Count>,
    reads: Option<Slot<Count>>,
    candidates: Mutex<Vec<usize>>,
    launched: Mutex<Vec<usize>>,
}

impl Listener {
    fn new(layout: &mut Layout, reads: Option<Slot<Count>>) -> Arc<Self> {
        let (candidates, launched) = (Mutex::default(), Mutex::default());
        Arc::new(Self { count: layout.add(), reads, candidates, launched })
    }

    fn producing(self: &Arc<Self>) -> Producing {
        let producer = named("listener", self.clone() as Arc<dyn Producer>);
        Producing { producer, slots: Box::new([self.count.index()]) }
    }
}

impl Producer for Listener {
    fn produce(&self, ask: &Ask<'_>, candidates: &Candidates, own: &mut Own) {
        let count = own.get_mut(self.count);
        assert_eq!(*count, Count(0));
        count.0 = self.reads.map_or(0, |slot| ask.facts.get(slot).0) + 1;
        self.candidates.lock().unwrap().push(candidates.len());
    }
}

impl PreRequest for Listener {
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, _: &mut Launch<'_>) {
        assert_eq!(ask.facts.get(self.count).0, self.reads.map_or(1, |_| 2));
        self.launched.lock().unwrap().extend(decision.firsts().map(|(_, endpoint)| endpoint));
    }
}

/// Runs the named profiles, whatever becomes of them; the result at `primary` is the destination.
struct Sequence {
    profiles: &'static [usize],
    primary: usize,
}

impl BoundHandler for Sequence {
    fn next(&self, ask: &Ask<'_>) -> Next {
        match self.profiles.get(ask.done.len()) {
            Some(&profile) => Next::Run(profile),
            None => Next::Done { primary: self.primary },
        }
    }
}

fn profile_of(filters: Vec<Arc<dyn Filter>>, scorers: Vec<(f32, Fixed)>, picker: Arc<dyn Picker>) -> Profile {
    let scorer = |(weight, scorer)| (weight, named("scorer", Arc::new(scorer) as Arc<dyn Scorer>));
    Profile {
        name: "p".into(),
        filters: filters.into_iter().map(|filter| named("filter", filter)).collect(),
        scorers: scorers.into_iter().map(scorer).collect(),
        picker: named("picker", picker),
    }
}

fn strategy(profiles: Vec<Profile>) -> Strategy {
    Strategy {
        revision: "r".into(),
        needs: Needs::NOTHING,
        formats: Formats::ALL,
        scrape: None,
        columns: Box::default(),
        discovery: None,
        files: Box::default(),
        warnings: Box::default(),
        explain: Default::default(),
        prefix_matches: Box::default(),
        models: Default::default(),
        trust: Default::default(),
        health: Settings::default(),
        layout: Layout::default(),
        handler: profile::default().bind(&["p"]).unwrap(),
        profiles: profiles.into(),
        preparers: Box::default(),
        screeners: Box::default(),
        producers: Box::default(),
        admitters: Box::default(),
        pre_requests: Box::default(),
        observers: Box::default(),
        upkeeps: Box::default(),
    }
}

fn route(strategy: &Arc<Strategy>, view: &View, subset: Option<&[Address]>) -> Result<Flight, Refusal> {
    strategy.route(&Request::default(), view, subset, &mut Cx::new(Instant::now(), 1))
}

/// Numbers of the pods that were chosen.
fn pods(flight: &Flight) -> Vec<&str> {
    flight.targets().iter().map(|e| e.pod.as_str()).collect()
}

fn in_flight(view: &View) -> Vec<u32> {
    view.endpoints.iter().map(|e| e.live().in_flight()).collect()
}

#[test]
fn totals_are_weighted_sums_of_clamped_scores_of_what_the_filters_leave() {
    let noting = Arc::new(Noting::default());
    let profile = profile_of(
        vec![Arc::new(Keep(&[0, 1, 2, 3])), Arc::new(Keep(&[1, 2, 3, 4]))],
        vec![(2.0, Fixed(&[9.0, 0.25, 7.0, f32::NAN, 9.0])), (-0.5, Fixed(&[9.0, 1.0, -3.0, 0.5, 9.0]))],
        noting.clone(),
    );
    let (strategy, view) = (Arc::new(strategy(vec![profile])), unknown(5));
    let flight = route(&strategy, &view, None).unwrap();
    assert_eq!(pods(&flight), ["pod-1", "pod-2", "pod-3"]);
    assert_eq!(*noting.seen.lock().unwrap(), [(vec![1, 2, 3], vec![0.0, 2.0, -0.25])]);
}

#[test]
fn the_best_total_is_the_destination() {
    let profile = profile_of(vec![], vec![(1.0, Fixed(&[0.1, 0.9, 0.5]))], pick::default());
    let (strategy, view) = (Arc::new(strategy(vec![profile])), unknown(3));
    let flight = route(&strategy, &view, None).unwrap();
    assert_eq!((pods(&flight), flight.endpoint().pod.as_str()), (vec!["pod-1"], "pod-1"));
    assert_eq!(flight.revision(), "r");
}

#[test]
fn a_subset_restricts_the_choice() {
    let profile = profile_of(vec![], vec![(1.0, Fixed(&[0.1, 0.9, 0.5]))], pick::default());
    let (strategy, view) = (Arc::new(strategy(vec![profile])), unknown(3));
    let subset = |text: &[&str]| text.iter().map(|t| Address::parse(t).unwrap()).collect::<Vec<_>>();
    let routed =
        |text: &[&str]| route(&strategy, &view, Some(&subset(text))).map(|f| f.endpoint().pod.clone());
    assert_eq!(routed(&["10.0.0.0:8000", "10.0.0.2:8000"]), Ok("pod-2".to_owned()));
    assert_eq!(routed(&["10.0.0.0"]), Ok("pod-0".to_owned()));
    assert_eq!(routed(&["10.9.9.9"]), Err(RefusalKind::NoEndpoints.into()));
    assert_eq!(routed(&[]), Err(RefusalKind::NoEndpoints.into()));
}

#[test]
fn nobody_there_and_nobody_left_are_told_apart_and_book_nothing() {
    let mut strategy =
        strategy(vec![profile_of(vec![Arc::new(Keep(&[])), Arc::new(Broken)], vec![], pick::default())]);
    let listener = Listener::new(&mut strategy.layout, None);
    strategy.producers = Box::new([listener.producing()]);
    strategy.pre_requests = Box::new([named("listener", listener.clone() as Arc<dyn PreRequest>)]);
    let (strategy, view) = (Arc::new(strategy), unknown(2));
    assert_eq!(route(&strategy, &View::empty(), None).err(), Some(RefusalKind::NoEndpoints.into()));
    assert_eq!(route(&strategy, &view, None).err(), Some(RefusalKind::AllFiltered.into()));
    assert_eq!(in_flight(&view), [0, 0]);
    assert_eq!(*listener.candidates.lock().unwrap(), [2]);
    assert_eq!(*listener.launched.lock().unwrap(), Vec::<usize>::new());
}

#[test]
fn producers_start_clean_read_from_earlier_ones_and_are_told_of_the_destination() {
    let mut strategy = strategy(vec![profile_of(vec![Arc::new(Keep(&[2]))], vec![], pick::default())]);
    let first = Listener::new(&mut strategy.layout, None);
    let second = Listener::new(&mut strategy.layout, Some(first.count));
    strategy.producers = Box::new([first.producing(), second.producing()]);
    strategy.pre_requests =
        [&first, &second].map(|l| named("listener", l.clone() as Arc<dyn PreRequest>)).into();
    let (strategy, view) = (Arc::new(strategy), unknown(3));
    for _ in 0..2 {
        route(&strategy, &view, None).unwrap();
    }
    for listener in [first, second] {
        assert_eq!(*listener.candidates.lock().unwrap(), [3, 3]);
        assert_eq!(*listener.launched.lock().unwrap(), [2, 2]);
    }
}

#[test]
fn each_profile_begins_with_all_candidates_and_the_handler_names_the_destination() {
    let profiles = || {
        vec![
            profile_of(vec![Arc::new(Keep(&[0]))], vec![], pick::default()),
            profile_of(vec![Arc::new(Keep(&[]))], vec![], pick::default()),
            profile_of(vec![Arc::new(Keep(&[1]))], vec![], pick::default()),
        ]
    };
    let routed = |handler: Sequence| {
        let mut strategy = strategy(profiles());
        strategy.handler = Arc::new(handler);
        route(&Arc::new(strategy), &unknown(2), None).map(|f| f.endpoint().pod.clone())
    };
    let all = &[2, 1, 0];
    assert_eq!(routed(Sequence { profiles: all, primary: 0 }), Ok("pod-1".to_owned()));
    assert_eq!(routed(Sequence { profiles: all, primary: 2 }), Ok("pod-0".to_owned()));
    assert_eq!(routed(Sequence { profiles: all, primary: 1 }), Err(RefusalKind::AllFiltered.into()));
    assert_eq!(routed(Sequence { profiles: all, primary: 3 }), Err(RefusalKind::AllFiltered.into()));
    // A profile that isn't there, or that ran already, is a fault of the handler.
    assert_eq!(routed(Sequence { profiles: &[0, 7], primary: 0 }), Err(RefusalKind::AllFiltered.into()));
    assert_eq!(routed(Sequence { profiles: &[0, 0], primary: 0 }), Err(RefusalKind::AllFiltered.into()));
    assert_eq!(routed(Sequence { profiles: &[], primary: 0 }), Err(RefusalKind::AllFiltered.into()));
}

#[test]
fn a_decision_lists_what_every_profile_picked() {
    let mut strategy = strategy(vec![
        profile_of(vec![], vec![], Arc::new(Noting::default())),
        profile_of(vec![Arc::new(Keep(&[]))], vec![], pick::default()),
    ]);
    strategy.handler = Arc::new(Sequence { profiles: &[1, 0], primary: 1 });
    let (request, view, now) = (Request::default(), unknown(2), Instant::now());
    let subject = Subject { request: &request, view: &view, now };
    let (mut cx, mut scratch) = (Cx::new(now, 1), Scratch::default());
    let (prepared, trace) = (Prepared::default(), &mut NoTrace);
    let decision = strategy.decide(subject, None, prepared, &mut cx, trace, &mut scratch, Trials::Begun);
    let result =
        |profile, picked: Option<&[u32]>| ProfileResult { profile, picked: picked.map(Picked::from) };
    let decision = decision.unwrap();
    assert_eq!(
        decision,
        Decision { results: [result(1, None), result(0, Some(&[0, 1]))].into_iter().collect(), primary: 1 }
    );
    assert_eq!((decision.of(0), decision.of(1)), (Some(&Picked::from(&[0, 1][..])), None));
    assert_eq!(decision.firsts().collect::<Vec<_>>(), [(0, 0)]);
}

#[test]
fn a_flight_is_booked_on_its_first_target_until_it_is_dropped() {
    let strategy = Arc::new(strategy(vec![profile_of(vec![], vec![], Arc::new(Noting::default()))]));
    let view = unknown(2);
    let first = route(&strategy, &view, None).unwrap();
    let second = route(&strategy, &view, None).unwrap();
    assert_eq!((first.targets().len(), in_flight(&view)), (2, vec![2, 0]));
    drop(first);
    assert_eq!(in_flight(&view), [1, 0]);
    // Wherever it is when it ends.
    std::thread::spawn(move || drop(second)).join().unwrap();
    assert_eq!(in_flight(&view), [0, 0]);
}

#[test]
fn a_flight_is_booked_off_when_its_stream_panics() {
    let strategy = Arc::new(strategy(vec![profile_of(vec![], vec![], pick::default())]));
    let view = unknown(1);
    let flight = route(&strategy, &view, None).unwrap();
    assert_eq!(in_flight(&view), [1]);
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _flight = flight;
        panic!("the stream broke");
    }));
    assert!(panicked.is_err());
    assert_eq!(in_flight(&view), [0]);
}

#[test]
fn a_plugin_that_panics_books_nothing_and_spoils_no_later_decision() {
    let broken = Arc::new(strategy(vec![profile_of(vec![Arc::new(Broken)], vec![], pick::default())]));
    let sound = Arc::new(strategy(vec![profile_of(vec![], vec![], pick::default())]));
    let view = unknown(1);
    assert!(catch_unwind(AssertUnwindSafe(|| route(&broken, &view, None))).is_err());
    assert_eq!(in_flight(&view), [0]);
    assert!(route(&sound, &view, None).is_ok());
}
