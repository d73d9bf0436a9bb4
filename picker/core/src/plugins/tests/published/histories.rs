//! Rules of plugins that remember what was sent where, over random histories.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::{NEAR, assert_none, check};
use crate::ask::{Decision, ProfileResult};
use crate::booking::Launch;
use crate::cx::Cx;
use crate::fact::PrefixMatch;
use crate::request::Request;
use crate::testing::{Instance, unknown, with_headers};
use crate::view::{Candidates, View};

/// Tests the rule of a type: what is wrong, if anything.
type Test = fn(&str) -> Option<String>;

/// Each type with the test of its rule.
pub const RULES: &[(&str, Test)] = &[
    ("multicluster-session-affinity-filter", session_affinity),
    ("no-hit-lru-scorer", no_hit_lru),
    ("session-affinity-filter", session_affinity),
    ("session-affinity-scorer", session_affinity),
];

const PODS: usize = 5;

/// One request.
#[derive(Clone, Debug)]
struct Step {
    /// Seconds since the last one.
    waits: u64,
    /// Its session, if it has one.
    session: Option<u8>,
    candidates: Vec<usize>,
    /// Blocks that each endpoint has of its prompt.
    matched: Vec<u32>,
    /// Which of those that are left is its destination, and which one does another part.
    chosen: u8,
    other: Option<u8>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let candidates = prop::sample::subsequence((0..PODS).collect::<Vec<_>>(), 1..=PODS);
    let matched = prop_oneof![3 => Just(vec![0; PODS]), 1 => prop::collection::vec(0..3_u32, PODS)];
    let chosen = (any::<u8>(), prop::option::weighted(0.3, any::<u8>()));
    let step = (0..8_u64, prop::option::weighted(0.8, 0..4_u8), candidates, matched, chosen).prop_map(
        |(waits, session, candidates, matched, (chosen, other))| Step {
            waits,
            session,
            candidates,
            matched,
            chosen,
            other,
        },
    );
    prop::collection::vec(step, 1..40)
}

fn candidates(view: &View, step: &Step) -> Candidates {
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| step.candidates.contains(&i));
    candidates
}

fn scores(instance: &Instance, request: &Request, view: &View, step: &Step) -> Vec<f64> {
    let mut out = vec![0.0; step.candidates.len()];
    let scorer = instance.roles.scorer.as_ref().unwrap();
    scorer.score(&instance.ask(request, view, &[]), &candidates(view, step), &mut out);
    out.into_iter().map(f64::from).collect()
}

/// The request goes to these endpoints, of which the first is its destination.
fn send(instance: &Instance, request: &Request, view: &View, to: &[usize]) {
    let result = |(profile, &i): (usize, &usize)| ProfileResult {
        profile,
        picked: Some(smallvec::smallvec![i as u32]),
    };
    let decision = Decision { results: to.iter().enumerate().map(result).collect(), primary: 0 };
    let ask = instance.ask(request, view, &decision.results);
    let pre_request = instance.roles.pre_request.as_ref().unwrap();
    pre_request.pre_request(&ask, &decision, &mut Launch::of(&decision, view));
}

fn near(scores: &[f64], expected: &[f64]) -> Result<(), TestCaseError> {
    let is_near = |(score, expected): (&f64, &f64)| (score - expected).abs() <= NEAR;
    prop_assert!(
        scores.len() == expected.len() && scores.iter().zip(expected).all(is_near),
        "{scores:?}, as published {expected:?}"
    );
    Ok(())
}

/// Endpoints that never got a cold request first, in their order, then those whose last one is longest ago: 1 − place /
/// (candidates − 1). All .5 where an endpoint has something of the prompt.
fn no_hit_lru(kind: &str) -> Option<String> {
    check(kind, 256, &steps(), |steps| {
        let (mut instance, view, request) =
            (Instance::new(kind, json!({})).unwrap(), unknown(PODS), Request::default());
        // Endpoints that got cold requests, the last one at the end.
        let mut used: Vec<usize> = Vec::new();
        for step in &steps {
            instance.forget();
            let matched = step.matched.clone();
            instance.learn(PrefixMatch { hashes: vec![0; 4], block_tokens: 64, matched });
            let is_cold = step.candidates.iter().all(|&i| step.matched[i] == 0);
            let never = step.candidates.iter().filter(|i| !used.contains(i));
            let order: Vec<usize> =
                never.chain(used.iter().filter(|i| step.candidates.contains(i))).copied().collect();
            let expected = step.candidates.iter().map(|i| {
                let place = order.iter().position(|other| other == i).unwrap() as f64;
                match step.candidates.len() {
                    _ if !is_cold => 0.5,
                    1 => 1.0,
                    count => 1.0 - place / (count - 1) as f64,
                }
            });
            near(&scores(&instance, &request, &view, step), &expected.collect::<Vec<_>>())?;
            let any = |n: u8| step.candidates[usize::from(n) % step.candidates.len()];
            // Ours: of all profiles, whatever they are called, and not of one called prefill alone.
            let to: Vec<usize> = [Some(step.chosen), step.other].into_iter().flatten().map(any).collect();
            send(&instance, &request, &view, &to);
            for i in to.iter().filter(|_| is_cold) {
                used.retain(|other| other != i);
                used.push(*i);
            }
        }
        Ok(())
    })
}

/// With the strategy `session_id`: a session is bound to the endpoint it goes to, and moves only when that is no candidate. A
/// filter leaves that endpoint alone, or else all; a scorer gives it 1, and all others 0.
fn session_affinity(kind: &str) -> Option<String> {
    const TTL: Duration = Duration::from_millis(10_500);
    let parameters =
        json!({"strategy": "session_id", "sessionIdConfig": {"evictionTtlSeconds": TTL.as_secs_f64()}});
    check(kind, 256, &steps(), |steps| {
        let (mut instance, view) = (Instance::new(kind, parameters.clone()).unwrap(), unknown(PODS));
        let mut now = Instant::now();
        // Where sessions are, and since when they were not used.
        let mut bound: BTreeMap<u8, (usize, Instant)> = BTreeMap::new();
        for step in &steps {
            now += Duration::from_secs(step.waits);
            instance.cx = Cx::new(now, 1);
            instance.forget();
            let id = step.session.map(|session| session.to_string());
            let request = with_headers(id.as_deref().map(|id| ("x-session-id", id)));
            let at = step.session.and_then(|session| bound.get(&session));
            let at = at.filter(|(_, last)| now - *last <= TTL).map(|(endpoint, _)| *endpoint);
            let pinned = at.filter(|endpoint| step.candidates.contains(endpoint));
            let left = if instance.roles.filter.is_some() {
                let left = pinned.map_or_else(|| step.candidates.clone(), |endpoint| vec![endpoint]);
                let kept = instance.kept_of(&request, &view, candidates(&view, step));
                prop_assert_eq!(&kept, &left);
                left
            } else {
                let score = |i: &usize| if Some(*i) == pinned { 1.0 } else { 0.0 };
                let expected: Vec<f64> = step.candidates.iter().map(score).collect();
                near(&scores(&instance, &request, &view, step), &expected)?;
                step.candidates.clone()
            };
            let chosen = left[usize::from(step.chosen) % left.len()];
            send(&instance, &request, &view, &[chosen]);
            if let Some(session) = step.session {
                bound.insert(session, (pinned.unwrap_or(chosen), now));
            }
        }
        Ok(())
    })
}

#[test]
fn what_was_sent_before_counts_as_published() {
    assert_none(RULES.iter().map(|(kind, test)| test(kind)));
}
