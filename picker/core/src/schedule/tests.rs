use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

use smallvec::smallvec;

use super::*;
use crate::plugin::{Filter, Picker, Producer, ProfileHandler, Scorer};
use crate::plugins::{pick, profile};
use crate::needs::Needs;
use crate::testing::unknown;

/// Keeps the positions that it names.
struct Keep(&'static [usize]);

impl Filter for Keep {
    fn filter(&self, _: &Request, _: &View, keep: &mut Candidates) {
        keep.retain(|i| self.0.contains(&i));
    }
}

struct Broken;

impl Filter for Broken {
    fn filter(&self, _: &Request, _: &View, _: &mut Candidates) {
        panic!("broken");
    }
}

/// Scores position `i` with the `i`-th number.
struct Fixed(&'static [f32]);

impl Scorer for Fixed {
    fn score(&self, _: &ScoreInput<'_>, candidates: &Candidates, out: &mut [f32]) {
        assert!(out.iter().all(|&s| s == 0.0));
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            *place = self.0[i];
        }
    }
}

/// Picks the first candidates and notes what it was given.
#[derive(Default)]
struct Noting {
    seen: Mutex<Vec<(Vec<usize>, Vec<f32>)>>,
}

impl Picker for Noting {
    fn pick(&self, _: &mut Cx, scored: Scored<'_>) -> Picked {
        self.seen.lock().unwrap().push((scored.candidates.iter().collect(), scored.totals.to_vec()));
        scored.candidates.iter().map(|i| i as u32).collect()
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Listener {
    candidates: Mutex<Vec<usize>>,
    launched: Mutex<Vec<usize>>,
}

impl Producer for Listener {
    fn produce(&self, _: &Request, _: &View, candidates: &Candidates, produced: &mut Produced) {
        assert_eq!(produced.prefix_mut(ProducerId(0)), &PrefixMatch::default());
        produced.prefix_mut(ProducerId(0)).hashes.push(1);
        self.candidates.lock().unwrap().push(candidates.len());
    }

    fn launched(&self, _: &Request, _: &View, chosen: usize, produced: &Produced) {
        assert_eq!(produced.prefix(ProducerId(0)).unwrap().hashes, [1]);
        self.launched.lock().unwrap().push(chosen);
    }
}

/// Runs the named profiles, whatever becomes of them; the result at `primary` is the destination.
struct Sequence {
    profiles: &'static [usize],
    primary: Option<usize>,
}

impl ProfileHandler for Sequence {
    fn accepts(&self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn next(&self, _: &Request, done: &[(usize, Option<Picked>)]) -> Option<usize> {
        self.profiles.get(done.len()).copied()
    }

    fn primary(&self, _: &[(usize, Option<Picked>)]) -> Option<usize> {
        self.primary
    }
}

fn profile_of(filters: Vec<Arc<dyn Filter>>, scorers: Vec<(f32, Fixed)>, picker: Arc<dyn Picker>) -> Profile {
    let scorers = scorers.into_iter().map(|(weight, s)| (weight, Arc::new(s) as Arc<dyn Scorer>)).collect();
    Profile { name: "p".to_owned(), filters: filters.into(), scorers, picker }
}

fn strategy(profiles: Vec<Profile>) -> Strategy {
    Strategy {
        revision: "r".to_owned(),
        needs: Needs::NOTHING,
        discovery: None,
        profiles: profiles.into(),
        handler: profile::default(),
        producers: Box::default(),
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
    assert_eq!(flight.strategy().revision, "r");
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
    assert_eq!(routed(&["10.9.9.9"]), Err(Refusal::NoEndpoints));
    assert_eq!(routed(&[]), Err(Refusal::NoEndpoints));
}

#[test]
fn nobody_there_and_nobody_left_are_told_apart_and_book_nothing() {
    let listener = Arc::new(Listener::default());
    let mut strategy =
        strategy(vec![profile_of(vec![Arc::new(Keep(&[])), Arc::new(Broken)], vec![], pick::default())]);
    strategy.producers = Box::new([listener.clone() as Arc<dyn Producer>]);
    let (strategy, view) = (Arc::new(strategy), unknown(2));
    assert_eq!(route(&strategy, &View::empty(), None).err(), Some(Refusal::NoEndpoints));
    assert_eq!(route(&strategy, &view, None).err(), Some(Refusal::AllFiltered));
    assert_eq!(in_flight(&view), [0, 0]);
    assert_eq!(*listener.candidates.lock().unwrap(), [2]);
    assert_eq!(*listener.launched.lock().unwrap(), Vec::<usize>::new());
}

#[test]
fn producers_start_clean_and_are_told_of_the_destination() {
    let listener = Arc::new(Listener::default());
    let mut strategy = strategy(vec![profile_of(vec![Arc::new(Keep(&[2]))], vec![], pick::default())]);
    strategy.producers = Box::new([listener.clone() as Arc<dyn Producer>]);
    let (strategy, view) = (Arc::new(strategy), unknown(3));
    for _ in 0..2 {
        route(&strategy, &view, None).unwrap();
    }
    assert_eq!(*listener.candidates.lock().unwrap(), [3, 3]);
    assert_eq!(*listener.launched.lock().unwrap(), [2, 2]);
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
    assert_eq!(routed(Sequence { profiles: all, primary: Some(0) }), Ok("pod-1".to_owned()));
    assert_eq!(routed(Sequence { profiles: all, primary: Some(2) }), Ok("pod-0".to_owned()));
    assert_eq!(routed(Sequence { profiles: all, primary: Some(1) }), Err(Refusal::AllFiltered));
    assert_eq!(routed(Sequence { profiles: all, primary: None }), Err(Refusal::AllFiltered));
    assert_eq!(routed(Sequence { profiles: all, primary: Some(3) }), Err(Refusal::AllFiltered));
    assert_eq!(routed(Sequence { profiles: &[0, 7], primary: Some(0) }), Ok("pod-0".to_owned()));
    assert_eq!(routed(Sequence { profiles: &[], primary: Some(0) }), Err(Refusal::AllFiltered));
}

#[test]
fn a_decision_lists_what_every_profile_picked() {
    let mut strategy = strategy(vec![
        profile_of(vec![], vec![], Arc::new(Noting::default())),
        profile_of(vec![Arc::new(Keep(&[]))], vec![], pick::default()),
    ]);
    strategy.handler = Arc::new(Sequence { profiles: &[1, 0], primary: Some(1) });
    let decision = strategy.schedule(
        &Request::default(),
        &unknown(2),
        None,
        &mut Cx::new(Instant::now(), 1),
        &mut Scratch::default(),
    );
    assert_eq!(
        decision,
        Ok(Decision { results: smallvec![(1, None), (0, Some(smallvec![0, 1]))], primary: 1 })
    );
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
