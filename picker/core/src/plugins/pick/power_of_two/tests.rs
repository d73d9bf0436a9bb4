use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;

use super::PowerOfTwoPicker;
use crate::ask::{Ask, Scored};
use crate::cx::Cx;
use crate::endpoint::Load;
use crate::fact::Facts;
use crate::plugin::Plugin;
use crate::plugins::pick::tests::{assert_close, shares};
use crate::request::Request;
use crate::testing::{build, unknown};
use crate::view::{Candidates, View};

const KIND: &str = PowerOfTwoPicker::TYPE;

/// In percent, how often each candidate is the better one of a pair, over all pairs of different ones.
fn by_pairs(totals: &[f32], loads: &[u32]) -> Vec<f64> {
    let n = totals.len();
    let mut shares = vec![0.0; n];
    for a in 0..n {
        for b in 0..n {
            if a != b {
                let a_wins = totals[a] > totals[b] || totals[a] == totals[b] && loads[a] <= loads[b];
                let b_wins = totals[b] > totals[a] || totals[a] == totals[b] && loads[b] <= loads[a];
                let winners = f64::from(u8::from(a_wins) + u8::from(b_wins));
                shares[a] += if a_wins { 100.0 / winners / (n * (n - 1)) as f64 } else { 0.0 };
                shares[b] += if b_wins { 100.0 / winners / (n * (n - 1)) as f64 } else { 0.0 };
            }
        }
    }
    shares
}

fn loaded(loads: &[u32]) -> View {
    let view = unknown(loads.len());
    for (endpoint, &requests) in view.endpoints.iter().zip(loads) {
        endpoint.live().add(Load { requests, tokens: 0 });
    }
    view
}

#[test]
fn the_best_gets_two_shares_and_the_worst_nothing() {
    // Of the six pairs of four, the best is in three, the second best wins two, the third one.
    assert_close(&shares(KIND, 1, &[0.5, 3.0, 1.0, 2.0]), &[0.0, 50.0, 100.0 / 6.0, 200.0 / 6.0]);
    assert_close(&shares(KIND, 3, &[0.5, 3.0, 1.0, 2.0]), &[0.0, 50.0, 100.0 / 6.0, 200.0 / 6.0]);
    assert_close(&shares(KIND, 1, &[1.0, 1.0, 1.0, 1.0]), &[25.0; 4]);
    assert_close(&shares(KIND, 1, &[-1.0, -2.0]), &[100.0, 0.0]);
    assert_eq!(shares(KIND, 1, &[7.0]), [100.0]);
    let totals = [1.0, 2.0, 2.0, 0.0, 1.0];
    assert_close(&shares(KIND, 1, &totals), &by_pairs(&totals, &[0; 5]));
}

/// How often each of `view` comes first, in percent.
fn shares_of(view: &View, totals: &[f32]) -> Vec<f64> {
    let candidates = Candidates::of(&view.endpoints, None);
    let mut cx = Cx::new(Instant::now(), 1);
    let (request, facts) = (Request::default(), Facts::default());
    let ask = Ask { request: &request, view, facts: &facts, done: &[], now: cx.now() };
    let picker = build(KIND, json!({})).unwrap().picker.unwrap();
    let mut counts = vec![0.0; totals.len()];
    for _ in 0..8000 {
        counts[picker.pick(&ask, &mut cx, Scored { candidates: &candidates, totals })[0] as usize] += 1.0;
    }
    counts.iter().map(|count| count / 80.0).collect()
}

#[test]
fn of_equals_the_one_with_fewer_requests_in_flight_is_picked() {
    let loads = [2, 0, 1, 1];
    let totals = [1.0, 1.0, 1.0, 5.0];
    assert_close(&shares_of(&loaded(&loads), &totals), &[0.0, 200.0 / 6.0, 100.0 / 6.0, 50.0]);
    assert_close(&shares_of(&loaded(&loads), &totals), &by_pairs(&totals, &loads));
}

proptest! {
    /// The published rule, over a list from which winners are struck, with the same draws.
    #[test]
    fn it_is_the_better_of_two_drawn_ones(
        rows in prop::collection::vec((0..4_u8, 0..3_u32), 1..24),
        count in 1..6_usize,
        some in any::<u32>(),
        seed in any::<u64>(),
    ) {
        let view = loaded(&rows.iter().map(|row| row.1).collect::<Vec<_>>());
        let mut candidates = Candidates::of(&view.endpoints, None);
        candidates.retain(|i| i == 0 || some >> i & 1 == 0);
        let totals: Vec<_> = candidates.iter().map(|i| f32::from(rows[i].0)).collect();
        let now = Instant::now();
        let (request, facts) = (Request::default(), Facts::default());
        let ask = Ask { request: &request, view: &view, facts: &facts, done: &[], now };
        let picker = build(KIND, json!({"maxNumOfEndpoints": count})).unwrap().picker.unwrap();
        let picked = picker.pick(&ask, &mut Cx::new(now, seed), Scored { candidates: &candidates, totals: &totals });

        let mut cx = Cx::new(now, seed);
        let mut left: Vec<usize> = candidates.iter().collect();
        let mut expected = Vec::new();
        for _ in 0..count.min(left.len()) {
            let first = cx.below(left.len());
            // The second is drawn among the others, in their order.
            let others: Vec<usize> = (0..left.len()).filter(|n| *n != first).collect();
            let second = if others.is_empty() { first } else { others[cx.below(others.len())] };
            let (a, b) = (rows[left[first]], rows[left[second]]);
            let wins = if b.0 > a.0 || b.0 == a.0 && b.1 < a.1 { second } else { first };
            expected.push(left[wins] as u32);
            let last = left.pop().unwrap();
            if wins < left.len() {
                left[wins] = last;
            }
        }
        prop_assert_eq!(picked.to_vec(), expected);
    }
}
