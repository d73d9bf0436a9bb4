use std::time::Instant;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::ask::ProfileResult;
use crate::compile::{Compiled, compile};
use crate::config::Scope;
use crate::cx::Cx;
use crate::request::Request;
use crate::store::StateStore;
use crate::testing::{Instance, request, unknown};
use crate::view::View;

const KIND: &str = "no-hit-lru-scorer";

/// An instance, and what the prefix cache's producer says.
struct Scored {
    instance: Instance,
    request: Request,
}

impl Scored {
    fn new(parameters: Value) -> Self {
        Self { instance: Instance::new(KIND, parameters).unwrap(), request: request("m", "") }
    }

    /// Scores of the endpoints `among` for a new request, of which each endpoint of `view` has `matched` blocks.
    fn scores(&mut self, view: &View, matched: &[u32], among: &[usize]) -> Vec<f32> {
        self.instance.forget();
        let found = PrefixMatch { hashes: vec![0; 8], block_tokens: 64, matched: matched.into() };
        self.instance.learn(found);
        let mut candidates = Candidates::of(&view.endpoints, None);
        candidates.retain(|i| among.contains(&i));
        let mut out = vec![0.0; candidates.len()];
        let scorer = self.instance.roles.scorer.as_ref().unwrap();
        scorer.score(&self.instance.ask(&self.request, view, &[]), &candidates, &mut out);
        out
    }

    /// The request that was scored goes to the first endpoints of these results.
    fn sent(&self, view: &View, results: &[Option<u32>]) {
        let result = |(profile, first): (usize, &Option<u32>)| ProfileResult {
            profile,
            picked: first.map(|first| smallvec::smallvec![first, 0]),
        };
        let decision = Decision { results: results.iter().enumerate().map(result).collect(), primary: 0 };
        let ask = self.instance.ask(&self.request, view, &decision.results);
        let plugin = self.instance.roles.pre_request.as_ref().unwrap();
        plugin.pre_request(&ask, &decision, &mut Launch::of(&decision, view));
    }

    /// A cold request among all of `view` goes to `endpoint`.
    fn cold(&mut self, view: &View, endpoint: u32) {
        let all: Vec<_> = (0..view.len()).collect();
        self.scores(view, &[], &all);
        self.sent(view, &[Some(endpoint)]);
    }
}

#[rstest]
#[case::nobody_was_used(&[], &[1.0, 0.75, 0.5, 0.25, 0.0])]
#[case::never_used_before_used(&[1], &[1.0, 0.0, 0.75, 0.5, 0.25])]
#[case::oldest_use_first(&[3, 0, 1], &[0.25, 0.0, 1.0, 0.5, 0.75])]
#[case::the_last_use_counts(&[3, 0, 1, 3], &[0.5, 0.25, 1.0, 0.0, 0.75])]
#[case::all_were_used(&[4, 3, 2, 1, 0], &[0.0, 0.25, 0.5, 0.75, 1.0])]
fn cold_requests_go_round(#[case] used: &[u32], #[case] expected: &[f32]) {
    let (mut scored, view) = (Scored::new(json!({})), unknown(5));
    used.iter().for_each(|&endpoint| scored.cold(&view, endpoint));
    assert_eq!(scored.scores(&view, &[0; 5], &[0, 1, 2, 3, 4]), expected);
    assert_eq!(scored.scores(&view, &[], &[0, 1, 2, 3, 4]), expected);
}

#[test]
fn ranks_are_those_among_the_candidates() {
    let (mut scored, view) = (Scored::new(json!({})), unknown(5));
    [3, 0, 1, 4, 2].into_iter().for_each(|endpoint| scored.cold(&view, endpoint));
    assert_eq!(scored.scores(&view, &[], &[0, 2, 4]), [1.0, 0.0, 0.5]);
    assert_eq!(scored.scores(&view, &[], &[2]), [1.0]);
    assert_eq!(scored.scores(&view, &[], &[]), [0.0; 0]);
}

#[test]
fn a_request_that_a_candidate_knows_is_neutral() {
    let (mut scored, view) = (Scored::new(json!({})), unknown(3));
    scored.cold(&view, 1);
    assert_eq!(scored.scores(&view, &[0, 0, 1], &[0, 1, 2]), [0.5, 0.5, 0.5]);
    // Who has it is none of these.
    assert_eq!(scored.scores(&view, &[0, 0, 1], &[0, 1]), [1.0, 0.0]);
}

#[test]
fn only_cold_requests_are_noted() {
    let (mut scored, view) = (Scored::new(json!({})), unknown(3));
    scored.cold(&view, 1);
    scored.scores(&view, &[0, 0, 1], &[0, 1, 2]);
    scored.sent(&view, &[Some(0)]);
    assert_eq!(scored.scores(&view, &[], &[0, 1, 2]), [1.0, 0.0, 0.5]);
}

#[test]
fn the_endpoints_of_all_profiles_are_noted_that_know_nothing_of_the_prompt() {
    let (mut scored, view) = (Scored::new(json!({})), unknown(5));
    scored.scores(&view, &[1, 0, 0, 0, 0], &[2, 3]);
    scored.sent(&view, &[Some(0), None, Some(2), Some(1)]);
    // 0 knows a part of it, 3 and 4 were not picked.
    assert_eq!(scored.scores(&view, &[], &[0, 1, 2, 3, 4]), [1.0, 0.0, 0.25, 0.75, 0.5]);
}

#[rstest]
#[case(1, &[1.0, 0.75, 0.5, 0.0, 0.25])]
#[case(2, &[1.0, 0.25, 0.75, 0.0, 0.5])]
#[case(3, &[0.5, 0.25, 1.0, 0.0, 0.75])]
#[case(0, &[0.5, 0.25, 1.0, 0.0, 0.75])]
#[case(-1, &[0.5, 0.25, 1.0, 0.0, 0.75])]
fn so_many_servers_are_remembered(#[case] size: i64, #[case] expected: &[f32]) {
    let (mut scored, view) = (Scored::new(json!({"lruSize": size})), unknown(5));
    [0, 1, 3].into_iter().for_each(|endpoint| scored.cold(&view, endpoint));
    assert_eq!(scored.scores(&view, &[], &[0, 1, 2, 3, 4]), expected);
}

fn compiled(routing: &Value, store: &StateStore) -> Compiled {
    compile(routing, Scope::File, store).unwrap()
}

#[test]
fn what_was_used_outlives_a_change_of_strategy() {
    let routing = |size| json!({"plugins": [{"type": KIND, "parameters": {"lruSize": size}}]});
    let (store, view) = (StateStore::default(), unknown(3));
    let mut picked = Vec::new();
    for size in [10, 11, 12, 13, 14] {
        let compiled = compiled(&routing(size), &store);
        let prompt = request("m", &size.to_string().repeat(300));
        let flight = compiled.strategy.route(&prompt, &view, None, &mut Cx::new(Instant::now(), 1)).unwrap();
        picked.push(flight.endpoint().pod.clone());
        store.commit(compiled.staging);
    }
    assert_eq!(picked, ["pod-0", "pod-1", "pod-2", "pod-0", "pod-1"]);
}

#[test]
fn former_parameters_are_told() {
    let parameters = json!({"prefixPluginType": "prefix-cache-scorer", "prefixPluginName": "mine"});
    let compiled =
        compiled(&json!({"plugins": [{"type": KIND, "parameters": parameters}]}), &StateStore::default());
    let warnings: Vec<_> = compiled.strategy.warnings.iter().map(ToString::to_string).collect();
    let of = |field| {
        format!(
            "plugins[0].parameters.{field}: has no effect; name the plugin in prefixMatchInfoProducerName, or leave this out"
        )
    };
    assert_eq!(warnings, [of("prefixPluginType"), of("prefixPluginName")]);
}
