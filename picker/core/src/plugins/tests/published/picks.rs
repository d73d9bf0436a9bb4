//! Rules of pickers, as the probability of each candidate to be the next one that is named.

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;

use super::{assert_none, check};
use crate::ask::{Ask, Scored};
use crate::cx::Cx;
use crate::endpoint::Load;
use crate::fact::Facts;
use crate::request::Request;
use crate::testing::{build, unknown};
use crate::view::Candidates;

/// How often a picker picks in one case.
const DRAWS: u32 = 4000;

/// A candidate: its total, and this picker's requests under way there.
type Candidate = (f64, u32);

/// A rule.
pub struct Rule {
    /// The type.
    pub kind: &'static str,
    /// Probability of the candidate at a position among those that are left.
    next: fn(&[Candidate], usize) -> f64,
}

pub const RULES: &[Rule] = &[
    Rule { kind: "max-score-picker", next: max_score },
    Rule { kind: "min-score-picker", next: min_score },
    Rule { kind: "power-of-two-picker", next: power_of_two },
    Rule { kind: "random-picker", next: random },
    Rule { kind: "weighted-random-picker", next: weighted_random },
];

/// Each of those that `is_best` is as likely.
fn among(left: &[Candidate], n: usize, is_best: impl Fn(&Candidate) -> bool) -> f64 {
    let count = left.iter().filter(|candidate| is_best(candidate)).count();
    if is_best(&left[n]) { 1.0 / count as f64 } else { 0.0 }
}

/// Ours where totals are equal, of which others take any: of those with the fewest requests under way.
fn max_score(left: &[Candidate], n: usize) -> f64 {
    let most = left.iter().map(|(total, _)| *total).fold(f64::NEG_INFINITY, f64::max);
    let fewest = left.iter().filter(|(total, _)| *total == most).map(|(_, load)| *load).min();
    among(left, n, |&(total, load)| total == most && Some(load) == fewest)
}

fn min_score(left: &[Candidate], n: usize) -> f64 {
    let least = left.iter().map(|(total, _)| *total).fold(f64::INFINITY, f64::min);
    among(left, n, |(total, _)| *total == least)
}

fn random(left: &[Candidate], n: usize) -> f64 {
    among(left, n, |_| true)
}

/// What the reservoir of Efraimidis and Spirakis comes to: in proportion to the totals, of which those that are not
/// positive are 0; any where all are.
fn weighted_random(left: &[Candidate], n: usize) -> f64 {
    let weight = |(total, _): &Candidate| total.max(0.0);
    let sum: f64 = left.iter().map(weight).sum();
    if sum > 0.0 { weight(&left[n]) / sum } else { random(left, n) }
}

/// The better one of two that are drawn, by total, then by load; of two that are alike the one that was drawn first.
fn power_of_two(left: &[Candidate], n: usize) -> f64 {
    if left.len() == 1 {
        return 1.0;
    }
    let wins = |a: usize, b: usize| {
        let ((total, load), (other, its_load)) = (left[a], left[b]);
        total > other || total == other && load <= its_load
    };
    let first = (0..left.len()).filter(|&other| other != n && wins(n, other)).count();
    let second = (0..left.len()).filter(|&other| other != n && !wins(other, n)).count();
    (first + second) as f64 / (left.len() * (left.len() - 1)) as f64
}

/// All that can be named, as positions among `candidates`, with its probability.
fn outcomes(rule: &Rule, candidates: &[Candidate], count: usize) -> BTreeMap<Vec<usize>, f64> {
    let mut found = BTreeMap::new();
    let mut open = vec![(Vec::new(), 1.0)];
    while let Some((named, chance)) = open.pop() {
        if named.len() == count.min(candidates.len()) {
            found.insert(named, chance);
            continue;
        }
        let left: Vec<usize> = (0..candidates.len()).filter(|n| !named.contains(n)).collect();
        let those: Vec<Candidate> = left.iter().map(|&n| candidates[n]).collect();
        for (place, &n) in left.iter().enumerate() {
            let named = named.iter().copied().chain([n]).collect();
            open.push((named, chance * (rule.next)(&those, place)));
        }
    }
    found
}

/// Pearson's chi-square of what was counted, with its degrees of freedom. What is expected less than five times is taken
/// together.
fn chi_square(expected: &BTreeMap<Vec<usize>, f64>, counts: &BTreeMap<Vec<usize>, u32>) -> (f64, f64) {
    let (mut cells, mut rest) = (Vec::new(), (0.0, 0.0));
    for (outcome, chance) in expected {
        let wanted = chance * f64::from(DRAWS);
        let count = f64::from(counts.get(outcome).copied().unwrap_or(0));
        if wanted >= 5.0 {
            cells.push((wanted, count));
        } else {
            rest = (rest.0 + wanted, rest.1 + count);
        }
    }
    if rest.0 >= 5.0 {
        cells.push(rest);
    }
    let sum = cells.iter().map(|(wanted, count)| (count - wanted).powi(2) / wanted).sum();
    (sum, cells.len() as f64 - 1.0)
}

/// What chi-square exceeds by chance less than once in a million times (Wilson and Hilferty's approximation).
fn critical(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + 4.8 * spread.sqrt()).powi(3)
}

#[test]
fn pickers_pick_as_often_as_published() {
    let total = prop_oneof![Just(0.0_f32), Just(1.0), -1.0_f32..3.0];
    let candidates = prop::collection::vec((total, 0..3_u32), 1..=4);
    let cases = (candidates, 1..=4_usize, any::<u64>());
    assert_none(RULES.iter().map(|rule| {
        check(rule.kind, 64, &cases, |(candidates, count, seed)| {
            // One that is no candidate is in front of them.
            let view = unknown(candidates.len() + 1);
            for (endpoint, &(_, requests)) in view.endpoints[1..].iter().zip(&candidates) {
                endpoint.live().add(Load { requests, tokens: 0 });
            }
            let mut left = Candidates::of(&view.endpoints, None);
            left.retain(|i| i > 0);
            let totals: Vec<f32> = candidates.iter().map(|(total, _)| *total).collect();
            let picker = build(rule.kind, json!({"maxNumOfEndpoints": count})).unwrap().picker.unwrap();
            let (mut cx, request, facts) =
                (Cx::new(Instant::now(), seed), Request::default(), Facts::default());
            let ask = Ask { request: &request, view: &view, facts: &facts, done: &[], now: cx.now() };
            let mut counts: BTreeMap<Vec<usize>, u32> = BTreeMap::new();
            for _ in 0..DRAWS {
                let picked = picker.pick(&ask, &mut cx, Scored { candidates: &left, totals: &totals });
                *counts.entry(picked.iter().map(|&i| i as usize - 1).collect()).or_default() += 1;
            }
            let candidates: Vec<_> =
                candidates.iter().map(|&(total, load)| (f64::from(total), load)).collect();
            let expected = outcomes(rule, &candidates, count);
            for outcome in counts.keys() {
                prop_assert!(expected.get(outcome).is_some_and(|chance| *chance > 0.0), "picked {outcome:?}");
            }
            let (sum, freedom) = chi_square(&expected, &counts);
            prop_assert!(freedom < 1.0 || sum < critical(freedom), "{counts:?}, as published {expected:?}");
            Ok(())
        })
    }));
}
