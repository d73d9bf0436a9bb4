use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use smallvec::smallvec;

use crate::ask::ProfileResult;
use crate::cx::Cx;
use crate::plugins::topology::tests::view_of;
use crate::request::Request;
use crate::testing::Instance;
use crate::view::{Candidates, View};

const KIND: &str = "topology-affinity-filter";
const LEVELS: [&str; 4] = ["host", "rack", "zone", "region"];

/// Those that are kept when the pod `peer` was chosen before.
fn kept(level: &str, view: &View, peer: Option<u32>) -> Vec<usize> {
    let filter = Instance::new(KIND, json!({"minAffinity": level})).unwrap();
    let done: Vec<_> =
        peer.into_iter().map(|peer| ProfileResult { profile: 0, picked: Some(smallvec![peer]) }).collect();
    let mut keep = Candidates::of(&view.endpoints, None);
    let request = Request::default();
    let ask = filter.ask(&request, view, &done);
    filter.roles.filter.as_ref().unwrap().filter(&ask, &mut Cx::new(ask.now, 1), &mut keep);
    keep.iter().collect()
}

const PLACES: [[&str; 4]; 5] = [
    ["h1", "r1", "z1", "g1"],
    ["h2", "r1", "z1", "g1"],
    ["h3", "r2", "z1", "g1"],
    ["h4", "r3", "z2", "g1"],
    ["", "", "", ""],
];

#[rstest]
#[case("host", Some(0), &[0])]
#[case("rack", Some(0), &[0, 1])]
#[case("zone", Some(0), &[0, 1, 2])]
#[case("region", Some(0), &[0, 1, 2, 3])]
#[case::no_peer("host", None, &[0, 1, 2, 3, 4])]
#[case::the_place_of_the_peer_is_not_known("host", Some(4), &[0, 1, 2, 3, 4])]
fn those_near_the_peer_are_kept(#[case] level: &str, #[case] peer: Option<u32>, #[case] expected: &[usize]) {
    assert_eq!(kept(level, &view_of(&PLACES), peer), expected);
}

proptest! {
    /// The published rule: at that level or a nearer one, all where there is no peer with a place, or none is near.
    #[test]
    fn the_published_rule_holds(pods in prop::collection::vec(prop::array::uniform4(0..3_usize), 2..10), level in 0..4_usize, peer in 0..10_usize) {
        const VALUES: [&str; 3] = ["", "a", "b"];
        let peer = peer % pods.len();
        let view = view_of(&pods.iter().map(|pod| pod.map(|v| VALUES[v])).collect::<Vec<_>>());
        let shares = |i: usize| (0..=level).any(|l| pods[peer][l] > 0 && pods[peer][l] == pods[i][l]);
        let mut expected: Vec<usize> = (0..pods.len()).filter(|&i| shares(i)).collect();
        if expected.is_empty() {
            expected = (0..pods.len()).collect();
        }
        prop_assert_eq!(kept(LEVELS[level], &view, Some(peer as u32)), expected);
    }
}
