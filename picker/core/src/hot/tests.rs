use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::config::{ConfigError, ErrorKind};
use crate::cx::Cx;
use crate::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use crate::index::PrefixIndex;
use crate::request::{Headers, Request};
use crate::view::{Reading, View};

mod stateful;

const PRODUCER: &str = "approx-prefix-cache-producer";

/// A routing with two prefix indexes, `near` of `capacity` and `far`, and a `weight` for near's scorer.
fn routing(weight: f64, capacity: u32) -> Value {
    json!({
        "plugins": [
            {"type": PRODUCER, "name": "near", "parameters": {"lruCapacityPerServer": capacity}},
            {"type": PRODUCER, "name": "far"},
            {"type": "prefix-cache-scorer", "parameters": {"prefixMatchInfoProducerName": "near"}},
        ],
        "schedulingProfiles": [
            {"name": "default", "plugins": [{"pluginRef": "prefix-cache-scorer", "weight": weight}]}
        ],
    })
}

fn broken() -> Value {
    json!({"plugin": []})
}

fn offer(hot: &Hot, routing: &Value) -> Outcome {
    hot.offer(routing, Scope::Resource)
}

fn swapped(resets: &[&str]) -> Outcome {
    Outcome::Swapped { resets: resets.iter().map(|r| (*r).to_owned()).collect(), warnings: Box::default() }
}

fn indexes(hot: &Hot) -> [Arc<PrefixIndex>; 2] {
    ["near", "far"].map(|name| hot.store.get(PRODUCER, name).unwrap())
}

fn view(endpoints: u8) -> View {
    let mut slots = Slots::default();
    let rows = (0..endpoints).map(|i| {
        let pod = format!("pod-{i}");
        let spec = EndpointSpec {
            id: EndpointId { pod_uid: pod.as_str().into(), port: 8000, rank: 0 },
            pod,
            namespace: "llm".to_owned(),
            address: ([10, 0, 0, i], 8000).into(),
            labels: Labels::new(),
        };
        (Arc::new(slots.admit(spec)), Reading::default())
    });
    View::build(rows.collect(), Instant::now(), Duration::from_secs(1))
}

fn request(prompt: &str) -> Request {
    let body = json!({"prompt": prompt.repeat(4096)}).to_string();
    Request::new(Headers::default(), Bytes::from(body)).unwrap()
}

/// Where `request` goes; the flight ends at once.
fn destination(hot: &Hot, request: &Request, view: &View, seed: u64) -> String {
    let flight = hot.current().unwrap().route(request, view, None, &mut Cx::new(Instant::now(), seed));
    flight.unwrap().endpoint().pod.clone()
}

#[test]
fn invariant_1_an_exchange_keeps_the_revision_it_began_with() {
    let hot = Hot::default();
    offer(&hot, &routing(1.0, 10));
    let flight = hot.current().unwrap().route(&request("a"), &view(2), None, &mut Cx::live()).unwrap();
    assert_eq!(offer(&hot, &routing(2.0, 10)), swapped(&[]));
    assert_eq!(flight.revision(), revision(&routing(1.0, 10)));
    assert_eq!(hot.revision().as_deref(), Some(&*revision(&routing(2.0, 10))));
}

#[test]
fn invariant_2_what_does_not_compile_never_serves() {
    let hot = Hot::default();
    let refused = Outcome::Refused(Errors(vec![ConfigError::new(
        "plugin",
        ErrorKind::UnknownField,
        "unknown field; the nearest is \"plugins\"; known here: plugins, schedulingProfiles, health, explain, models, trust, requestHandler",
    )]));
    assert_eq!(offer(&hot, &broken()), refused);
    assert!(hot.current().is_none());
    offer(&hot, &routing(1.0, 10));
    let (serving, states) = (hot.current().unwrap(), indexes(&hot));
    assert_eq!(offer(&hot, &broken()), refused);
    assert!(Arc::ptr_eq(&serving, &hot.current().unwrap()));
    assert!(states.iter().zip(&indexes(&hot)).all(|(a, b)| Arc::ptr_eq(a, b)));
    // The good one is still the one that serves.
    assert_eq!(offer(&hot, &routing(1.0, 10)), Outcome::Unchanged);
}

#[test]
fn invariant_2_what_is_wrong_only_beside_a_changed_shape_resets_nothing() {
    let hot = Hot::default();
    offer(&hot, &routing(1.0, 10));
    let states = indexes(&hot);
    let mut half_right = routing(1.0, 20);
    half_right["schedulingProfiles"][0]["plugins"][0]["pluginRef"] = json!("nobody");
    assert!(matches!(offer(&hot, &half_right), Outcome::Refused(_)));
    assert!(states.iter().zip(&indexes(&hot)).all(|(a, b)| Arc::ptr_eq(a, b)));
}

#[test]
fn invariant_3_an_equal_routing_is_no_swap() {
    let hot = Hot::default();
    assert_eq!(offer(&hot, &routing(2.0, 10)), swapped(&[]));
    let serving = hot.current().unwrap();
    let Value::Object(fields) = routing(2.0, 10) else { panic!("a mapping") };
    let mut same = Value::Object(fields.into_iter().rev().collect());
    same["schedulingProfiles"][0]["plugins"][0]["weight"] = json!(2);
    assert_eq!(offer(&hot, &same), Outcome::Unchanged);
    assert!(Arc::ptr_eq(&serving, &hot.current().unwrap()));
}

#[test]
fn invariant_4_another_weight_keeps_all_state() {
    let hot = Hot::default();
    offer(&hot, &routing(1.0, 10));
    let states = indexes(&hot);
    assert_eq!(offer(&hot, &routing(2.0, 10)), swapped(&[]));
    assert!(states.iter().zip(&indexes(&hot)).all(|(a, b)| Arc::ptr_eq(a, b)));
}

#[test]
fn invariant_4_another_shape_resets_that_state_alone() {
    let hot = Hot::default();
    offer(&hot, &routing(1.0, 10));
    let [near, far] = indexes(&hot);
    assert_eq!(offer(&hot, &routing(1.0, 20)), swapped(&["near"]));
    let [new_near, same_far] = indexes(&hot);
    assert!(!Arc::ptr_eq(&near, &new_near));
    assert!(Arc::ptr_eq(&far, &same_far));
}

#[test]
fn invariant_4_the_cache_is_warm_after_a_swap_of_weights_and_cold_after_one_of_shapes() {
    let (hot, view, request) = (Hot::default(), view(8), request("long prompt "));
    offer(&hot, &routing(1.0, 100));
    let home = destination(&hot, &request, &view, 1);
    let others = |hot: &Hot| (2..34).filter(|seed| destination(hot, &request, &view, *seed) != home).count();
    assert_eq!(others(&hot), 0);
    offer(&hot, &routing(5.0, 100));
    assert_eq!(others(&hot), 0);
    // A draw that sends it elsewhere when nothing is known of it.
    let elsewhere = |seed: &u64| {
        let cold = Hot::default();
        offer(&cold, &routing(5.0, 200));
        destination(&cold, &request, &view, *seed) != home
    };
    let seed = (2..34).find(elsewhere).unwrap();
    assert_eq!(destination(&hot, &request, &view, seed), home);
    offer(&hot, &routing(5.0, 200));
    assert_ne!(destination(&hot, &request, &view, seed), home);
}

#[test]
fn invariant_5_an_old_revision_is_dropped_when_its_last_decision_is_made() {
    let (hot, view) = (Hot::default(), view(1));
    offer(&hot, &routing(1.0, 10));
    let old = Arc::downgrade(&hot.current().unwrap());
    let old_near = Arc::downgrade(&indexes(&hot)[0]);
    let deciding = hot.current().unwrap();
    let flight = deciding.route(&request("a"), &view, None, &mut Cx::live()).unwrap();
    offer(&hot, &routing(1.0, 20));
    assert!(old.upgrade().is_some());
    drop(deciding);
    // An answer may take minutes; it needs nothing of the strategy.
    assert_eq!((old.strong_count(), old_near.strong_count()), (0, 0));
    assert_eq!(view.endpoints[0].live().in_flight(), 1);
    drop(flight);
    assert_eq!(view.endpoints[0].live().in_flight(), 0);
}

#[test]
fn readers_and_writers_at_once_see_only_whole_strategies() {
    const OFFERS: usize = 150;
    let (hot, view) = (Hot::default(), view(4));
    offer(&hot, &routing(1.0, 10));
    let states = indexes(&hot);
    let routings: Vec<_> = (1..=4).map(|weight| routing(f64::from(weight), 10)).collect();
    let revisions: Vec<_> = routings.iter().map(revision).collect();
    let (done, routed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let weights_of = |strategy: &Strategy| strategy.profiles[0].scorers[0].0;
    let first: Weak<Strategy> = Arc::downgrade(&hot.current().unwrap());
    thread::scope(|scope| {
        for reader in 0..2 {
            let (hot, view, done, routed, revisions) = (&hot, &view, &done, &routed, &revisions);
            scope.spawn(move || {
                let request = request("a");
                let mut cx = Cx::new(Instant::now(), reader);
                while !done.load(Ordering::Relaxed) {
                    let strategy = hot.current().unwrap();
                    let flight = strategy.route(&request, view, None, &mut cx).unwrap();
                    assert_eq!(flight.revision(), &*strategy.revision);
                    // The weight is that of the very revision.
                    let of = revisions.iter().position(|r| **r == *strategy.revision).unwrap();
                    assert_eq!(weights_of(&strategy), (of + 1) as f32);
                    routed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (hot, routings) = (&hot, &routings);
                scope.spawn(move || {
                    for i in 0..OFFERS {
                        assert!(!matches!(offer(hot, &routings[(i + writer) % 4]), Outcome::Refused(_)));
                        assert!(matches!(offer(hot, &broken()), Outcome::Refused(_)));
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        while routed.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(states.iter().zip(&indexes(&hot)).all(|(a, b)| Arc::ptr_eq(a, b)));
    assert!(view.endpoints.iter().all(|e| e.live().in_flight() == 0));
    offer(&hot, &routing(9.0, 10));
    assert_eq!(first.strong_count(), 0);
}
