use proptest::prelude::*;
use serde_json::json;
use smallvec::smallvec;

use crate::ask::ProfileResult;
use crate::plugins::topology::tests::view_of;
use crate::request::Request;
use crate::testing::Instance;
use crate::view::{Candidates, View};

fn scores(view: &View, done: &[ProfileResult]) -> Vec<f32> {
    let scorer = Instance::new("topology-affinity-scorer", json!({})).unwrap();
    let mut out = vec![0.0; view.len()];
    let candidates = Candidates::of(&view.endpoints, None);
    scorer.roles.scorer.as_ref().unwrap().score(
        &scorer.ask(&Request::default(), view, done),
        &candidates,
        &mut out,
    );
    out
}

fn chose(peer: u32) -> ProfileResult {
    ProfileResult { profile: 0, picked: Some(smallvec![peer]) }
}

#[test]
fn the_nearer_to_the_one_chosen_before_the_better() {
    let view = view_of(&[
        ["h1", "r1", "z1", "g1"],
        ["h2", "r1", "z1", "g1"],
        ["h3", "r2", "z1", "g1"],
        ["h4", "r3", "z2", "g1"],
        ["h5", "r4", "z3", "g2"],
        [""; 4],
    ]);
    let near = [1.0, 0.2, 0.05, 0.02, 0.0, 0.0];
    let nobody = ProfileResult { profile: 1, picked: None };
    assert_eq!(scores(&view, &[chose(0)]), near);
    assert_eq!(scores(&view, &[nobody.clone(), chose(0)]), near, "the first that found any");
    assert_eq!(scores(&view, &[nobody]), [0.0; 6]);
    assert_eq!(scores(&view, &[]), [0.0; 6]);
    assert_eq!(scores(&view, &[chose(5)]), [0.0; 6], "its place is not known");
}

proptest! {
    #[test]
    fn the_published_rule_holds(pods in prop::collection::vec(prop::array::uniform4(0..3_usize), 2..10), peer in 0..10_usize) {
        const VALUES: [&str; 3] = ["", "a", "b"];
        let peer = peer % pods.len();
        let view = view_of(&pods.iter().map(|pod| pod.map(|v| VALUES[v])).collect::<Vec<_>>());
        let shares = |i: usize, level: usize| pods[peer][level] > 0 && pods[peer][level] == pods[i][level];
        let expected: Vec<f32> = (0..pods.len())
            .map(|i| {
                if shares(i, 0) { 1.0 } else if shares(i, 1) { 0.2 } else if shares(i, 2) { 0.05 } else if shares(i, 3) { 0.02 } else { 0.0 }
            })
            .collect();
        prop_assert_eq!(scores(&view, &[chose(peer as u32)]), expected);
    }
}
