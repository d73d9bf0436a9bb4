use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use smallvec::smallvec;

use super::*;
use crate::ask::ProfileResult;
use crate::cx::Cx;
use crate::plugins::pd_groups::tests::{POOL, fact, pods};
use crate::request::Request;
use crate::testing::{Instance, request, strategy, view_of};

const KIND: &str = "pd-header-handler";

/// The headers of a request to `destination` and the requests in flight that it makes, where a scorer found `pair`.
fn sent(
    handler: &mut Instance,
    view: &View,
    destination: u32,
    pair: Option<Pair>,
) -> (Vec<(String, Bytes)>, Vec<u32>) {
    let groups = fact(view);
    pair.into_iter().for_each(|pair| groups.note(destination as usize, pair));
    handler.learn(groups);
    let result = ProfileResult { profile: 0, picked: Some(smallvec![destination]) };
    let decision = Decision { results: smallvec![result], primary: 0 };
    let (request, mut launch) = (Request::default(), Launch::of(&decision, view));
    let ask = handler.ask(&request, view, &decision.results);
    handler.roles.pre_request.as_ref().unwrap().pre_request(&ask, &decision, &mut launch);
    let headers =
        launch.edits.headers().iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    (headers, view.endpoints.iter().map(|e| e.live().in_flight()).collect())
}

fn headers(prefill: &str, decode: &str) -> Vec<(String, Bytes)> {
    [(PREFILL, prefill), (DECODE, decode)]
        .map(|(n, v)| (n.to_owned(), Bytes::copy_from_slice(v.as_bytes())))
        .to_vec()
}

fn handler() -> Instance {
    Instance::new(KIND, json!({})).unwrap()
}

#[test]
fn the_pair_of_the_scorer_is_named_and_booked() {
    let view = pods(&POOL);
    let (told, booked) = sent(&mut handler(), &view, 4, Some(Pair { prefill: 6, decode: 7 }));
    assert_eq!(told, headers("10.0.0.6:8000", "10.0.0.7:8000"));
    assert_eq!(booked, [0, 0, 0, 0, 1, 0, 1, 1, 0]);
}

#[test]
fn an_address_of_version_6_is_in_brackets() {
    let mut slots = crate::endpoint::Slots::default();
    let view = view_of((0..).zip(&*pods(&POOL[..4]).endpoints).map(|(n, pod)| {
        let spec = crate::testing::spec(n);
        let address = (std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n.into()), 8000).into();
        Arc::new(slots.admit(crate::endpoint::EndpointSpec { labels: pod.labels.clone(), address, ..spec }))
    }));
    let (told, _) = sent(&mut handler(), &view, 0, None);
    assert_eq!(told, headers("[fd00::1]:8000", "[fd00::3]:8000"));
}

#[test]
fn a_pod_that_serves_alone_gets_no_headers_and_neither_does_one_that_takes_no_requests() {
    let view = pods(&POOL);
    let alone = sent(&mut handler(), &view, 8, Some(Pair { prefill: 8, decode: 8 }));
    assert_eq!(alone, (vec![], vec![0, 0, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(sent(&mut handler(), &view, 8, None).0, []);
    assert_eq!(sent(&mut handler(), &view, 1, None).0, []);
}

#[test]
fn without_a_scorer_pods_take_turns() {
    let (mut handler, view) = (handler(), pods(&POOL));
    let mut prefill = || sent(&mut handler, &view, 0, None).0[0].1.clone();
    assert_eq!([prefill(), prefill(), prefill()], ["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.1:8000"]);
    view.endpoints[1].live().add(Load { requests: 1, tokens: 0 });
    assert_eq!([prefill(), prefill()], ["10.0.0.2:8000"; 2]);
}

/// Each prompt goes where its beginning is, and its leader learns who has it.
#[test]
fn a_strategy_of_groups_sends_a_prompt_back_to_the_pair_that_has_it() {
    let strategy = strategy(
        "plugins: [{type: pd-group-filter}, {type: pd-kvcache-aware-scorer}, {type: min-score-picker}, {type: pd-header-handler}]",
    );
    let (view, mut cx) = (pods(&POOL), Cx::new(Instant::now(), 1));
    let mut route = |prompt: &str| {
        let flight = strategy.route(&request("m", &prompt.repeat(600)), &view, None, &mut cx).unwrap();
        let told: Vec<_> = flight.edits().headers().iter().map(|(_, value)| value.clone()).collect();
        (flight.endpoint().pod.clone(), told)
    };
    let [a, b, c] = ["a", "b", "c"].map(&mut route);
    assert_eq!(["a", "b", "c"].map(&mut route), [a, b, c]);
}

proptest! {
    /// Both pods are of the destination's group.
    #[test]
    fn nobody_outside_the_group_is_named(
        roles in prop::collection::vec((0..5_usize, 0..3_usize), 1..12), seed in any::<u64>(),
    ) {
        let names = |&(role, group): &(usize, usize)| {
            (["", "prefill", "decode", "leader", "aggregate"][role], ["", "a", "b"][group])
        };
        let all: Vec<_> = roles.iter().map(names).collect();
        let view = pods(&all);
        let strategy = strategy("plugins: [{type: pd-group-filter}, {type: random-picker}, {type: pd-header-handler}]");
        let Ok(flight) = strategy.route(&Request::default(), &view, None, &mut Cx::new(Instant::now(), seed)) else {
            return Ok(());
        };
        let destination = view.endpoints.iter().position(|e| e.key == flight.endpoint().key).unwrap();
        let role = |name: &str| {
            let value = &flight.edits().headers().iter().find(|(header, _)| *header == name)?.1;
            view.endpoints.iter().position(|e| e.destination.as_bytes() == value.as_ref()).map(|i| all[i])
        };
        let (leads, group) = (all[destination].0 == "leader", all[destination].1);
        prop_assert_eq!(role(PREFILL), leads.then_some(("prefill", group)));
        prop_assert_eq!(role(DECODE), leads.then_some(("decode", group)));
    }
}
