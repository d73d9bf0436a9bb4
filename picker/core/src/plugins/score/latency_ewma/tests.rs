use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use smallvec::smallvec;

use crate::ask::{Decision, ProfileResult};
use crate::cx::Cx;
use crate::edits::Edits;
use crate::endpoint::{Endpoint, Slots};
use crate::outcome::{Ending, Outcome, ResponseHead, Usage};
use crate::request::{Headers, Request};
use crate::testing::{Instance, spec, unknown, view_of};
use crate::view::View;

const KIND: &str = "latency-ewma-scorer";

/// An answer, in seconds.
#[derive(Clone, Copy)]
struct Answer {
    endpoint: usize,
    /// When the request was decided.
    at: f64,
    first_byte: f64,
    /// From the decision to the end, and how many tokens there were: of a stream.
    stream: Option<(f64, u64)>,
    status: u16,
    served: Option<SocketAddr>,
}

const OK: Answer = Answer { endpoint: 0, at: 0.0, first_byte: 1.0, stream: None, status: 200, served: None };

struct Bench {
    scorer: Instance,
    view: View,
    start: Instant,
}

impl Bench {
    fn new(parameters: Value, count: usize) -> Self {
        Self { scorer: Instance::new(KIND, parameters).unwrap(), view: unknown(count), start: Instant::now() }
    }

    fn clock(&mut self, seconds: f64) {
        self.scorer.cx = Cx::new(self.start + Duration::from_secs_f64(seconds), 1);
    }

    fn answer(&mut self, answer: Answer) {
        let Answer { endpoint, at, first_byte, stream, status, served } = answer;
        self.clock(at);
        let request = Request::default();
        let picked = smallvec![endpoint as u32];
        let results = smallvec![ProfileResult { profile: 0, picked: Some(picked) }];
        let decision = Decision { results, primary: 0 };
        let observer = self.scorer.roles.observer.as_ref().unwrap();
        let mut watch = observer.watch(&self.scorer.ask(&request, &self.view, &[]), &decision).unwrap();
        let kind = if stream.is_some() { "Text/event-stream; charset=utf-8" } else { "application/json" };
        let headers = Headers(vec![(Bytes::from("content-type"), Bytes::from(kind))]);
        let mut edits = Edits::default();
        watch.head(&ResponseHead { status: Some(status), headers: &headers, served }, &mut edits);
        let (duration, pieces) = stream.unwrap_or((first_byte, 1));
        (0..pieces).for_each(|_| watch.chunk(b"data: x\n\n"));
        let outcome = Outcome {
            ending: Ending::Complete,
            status: Some(status),
            first_byte: Some(Duration::from_secs_f64(first_byte)),
            duration: Some(Duration::from_secs_f64(duration)),
            usage: None,
            served,
        };
        watch.ended(&outcome, &mut edits);
        assert!(edits.is_empty());
    }

    fn scores(&mut self, seconds: f64) -> Vec<f32> {
        self.clock(seconds);
        self.scorer.scores(&Request::default(), &self.view)
    }
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
}

#[test]
fn the_sooner_an_endpoint_answers_the_better() {
    let mut bench = Bench::new(json!({}), 4);
    assert_eq!(bench.scores(0.0), [1.0; 4], "nothing is known");
    bench.answer(Answer { first_byte: 4.0, ..OK });
    assert_eq!(bench.scores(4.0), [1.0; 4], "one alone is no worse than others");
    bench.answer(Answer { endpoint: 1, first_byte: 2.0, ..OK });
    bench.answer(Answer { endpoint: 2, first_byte: 1.0, ..OK });
    // (4 − latency) / 3, and the mean of the others for the unknown one.
    let scores = bench.scores(4.0);
    assert!(close(&scores, &[0.0, 2.0 / 3.0, 1.0, 5.0 / 9.0]), "{scores:?}");
}

#[test]
fn an_answer_counts_half_as_much_after_each_half_life() {
    let mut bench = Bench::new(json!({"halfLifeSeconds": 10}), 3);
    // The ends count: at 4, 14 and 24 s. The weights of the values 4, 1 and 2 are 1/4, 1/2 and 1.
    bench.answer(Answer { at: 0.0, first_byte: 4.0, ..OK });
    bench.answer(Answer { at: 13.0, first_byte: 1.0, ..OK });
    bench.answer(Answer { at: 22.0, first_byte: 2.0, ..OK });
    bench.answer(Answer { endpoint: 1, at: 20.0, first_byte: 1.0, ..OK });
    bench.answer(Answer { endpoint: 2, at: 20.0, first_byte: 3.0, ..OK });
    let mean = (4.0 / 4.0 + 1.0 / 2.0 + 2.0) / 1.75;
    let scores = bench.scores(25.0);
    assert!(close(&scores, &[(3.0 - mean) / 2.0, 1.0, 0.0]), "{scores:?}");
}

#[test]
fn what_is_long_ago_is_forgotten() {
    let mut bench = Bench::new(json!({"halfLifeSeconds": 1}), 3);
    for (endpoint, first_byte) in [(2, 1.0), (1, 2.0), (0, 3.0)] {
        bench.answer(Answer { endpoint, first_byte, ..OK });
    }
    bench.answer(Answer { endpoint: 1, at: 5.0, first_byte: 2.0, ..OK });
    assert!(close(&bench.scores(11.0), &[0.0, 0.5, 1.0]));
    // The answer of 2 ended at 1 s, that of 0 at 3 s.
    assert!(close(&bench.scores(12.0), &[0.0, 1.0, 0.5]));
    assert!(close(&bench.scores(14.0), &[1.0; 3]));
    bench.answer(Answer { endpoint: 0, at: 15.0, first_byte: 1.0, ..OK });
    assert!(close(&bench.scores(16.5), &[1.0, 0.0, 0.5]), "nothing is left of the first answer of 0");
}

#[test]
fn only_answers_that_succeeded_count_and_those_of_who_served() {
    let mut bench = Bench::new(json!({}), 3);
    bench.answer(Answer { endpoint: 1, first_byte: 2.0, ..OK });
    bench.answer(Answer { endpoint: 2, first_byte: 1.0, ..OK });
    for status in [199, 300, 404, 503] {
        bench.answer(Answer { endpoint: 0, first_byte: 0.001, status, ..OK });
        bench.answer(Answer { endpoint: 2, first_byte: 90.0, status, ..OK });
    }
    assert_eq!(bench.scores(2.0), [0.5, 0.0, 1.0]);
    // Sent to 1, served by 0; and served by somebody of whom nobody knows.
    bench.answer(Answer { endpoint: 1, first_byte: 3.0, served: Some(([10, 0, 0, 0], 8000).into()), ..OK });
    bench.answer(Answer { endpoint: 1, first_byte: 9.0, served: Some(([10, 9, 9, 9], 8000).into()), ..OK });
    assert_eq!(bench.scores(2.0), [0.0, 0.5, 1.0]);
}

#[test]
fn of_streams_the_time_for_each_further_token_counts() {
    let parameters = json!({"ttftWeight": 0, "tpotWeight": 3});
    let mut bench = Bench::new(parameters, 4);
    // 1 s for 10 tokens after the first, 1.5 s, 2 s. One had no stream, and gets the mean of those that had.
    bench.answer(Answer { endpoint: 0, stream: Some((2.0, 11)), ..OK });
    bench.answer(Answer { endpoint: 1, stream: Some((2.5, 11)), ..OK });
    bench.answer(Answer { endpoint: 2, stream: Some((3.0, 11)), ..OK });
    bench.answer(Answer { endpoint: 3, ..OK });
    let scores = bench.scores(3.0);
    assert!(close(&scores, &[1.0, 0.5, 0.0, 0.5]), "{scores:?}");
}

#[test]
fn tokens_are_those_that_the_server_counts_and_a_cut_stream_has_its_first_byte_alone() {
    let observed = |outcome: Outcome| {
        let mut bench = Bench::new(json!({"ttftWeight": 1, "tpotWeight": 1}), 3);
        bench.answer(Answer { endpoint: 1, stream: Some((2.0, 11)), ..OK });
        bench.answer(Answer { endpoint: 2, first_byte: 3.0, stream: Some((5.0, 11)), ..OK });
        bench.clock(0.0);
        let request = Request::default();
        let results = smallvec![ProfileResult { profile: 0, picked: Some(smallvec![0]) }];
        let observer = bench.scorer.roles.observer.as_ref().unwrap();
        let ask = bench.scorer.ask(&request, &bench.view, &[]);
        let mut watch = observer.watch(&ask, &Decision { results, primary: 0 }).unwrap();
        let headers = Headers(vec![(Bytes::from("content-type"), Bytes::from("text/event-stream"))]);
        let head = ResponseHead { status: Some(200), headers: &headers, served: None };
        watch.head(&head, &mut Edits::default());
        watch.chunk(b"all at once");
        watch.ended(&outcome, &mut Edits::default());
        bench.scores(5.0)
    };
    let whole = Outcome {
        ending: Ending::Complete,
        status: Some(200),
        first_byte: Some(Duration::from_secs(2)),
        duration: Some(Duration::from_secs(4)),
        usage: Some(Usage { prompt: 9, cached: 0, completion: 21, reasoning: 0 }),
        served: None,
    };
    // ttft 2 of 1 to 3, tpot 0.1 of 0.1 to 0.2.
    assert!(close(&observed(whole), &[0.75, 1.0, 0.0]), "{:?}", observed(whole));
    // One piece tells nothing of tokens; nor does a stream without its end.
    for outcome in
        [Outcome { usage: None, ..whole }, Outcome { ending: Ending::Cut, duration: None, ..whole }]
    {
        assert!(close(&observed(outcome), &[0.5, 1.0, 0.0]), "{:?}", observed(outcome));
    }
    let nothing = Outcome { first_byte: None, ..whole };
    assert!(close(&observed(nothing), &[0.5, 1.0, 0.0]), "{:?}", observed(nothing));
}

#[test]
fn another_endpoint_in_the_same_slot_has_nothing_of_the_former() {
    let (mut slots, mut bench) = (Slots::default(), Bench::new(json!({}), 0));
    let all: Vec<Arc<Endpoint>> = (0..3).map(|n| Arc::new(slots.admit(spec(n)))).collect();
    bench.view = view_of(all.iter().cloned());
    for (endpoint, first_byte) in [(0, 1.0), (1, 2.0), (2, 3.0)] {
        bench.answer(Answer { endpoint, first_byte, ..OK });
    }
    assert!(close(&bench.scores(3.0), &[1.0, 0.5, 0.0]));
    slots.release(&all[2]);
    let next = Arc::new(slots.admit(spec(9)));
    assert_eq!(next.slot, all[2].slot);
    let before = std::mem::replace(&mut bench.view, view_of([all[0].clone(), all[1].clone(), next]));
    assert!(close(&bench.scores(3.0), &[1.0, 0.0, 0.5]), "it is unknown");
    bench.answer(Answer { endpoint: 2, first_byte: 0.5, ..OK });
    // A late answer of the former one.
    let after = std::mem::replace(&mut bench.view, before);
    bench.answer(Answer { endpoint: 2, first_byte: 90.0, ..OK });
    bench.view = after;
    assert!(close(&bench.scores(3.0), &[2.0 / 3.0, 0.0, 1.0]));
}

#[rstest]
#[case(json!({"halfLifeSeconds": 0}), "halfLifeSeconds: must lie between 0.1 and 86400")]
#[case(json!({"halfLifeSeconds": 1e6}), "halfLifeSeconds: must lie between 0.1 and 86400")]
#[case(json!({"ttftWeight": -1}), "ttftWeight: must be at least 0")]
#[case(json!({"tpotWeight": -0.5}), "tpotWeight: must be at least 0")]
#[case(json!({"ttftWeight": 0, "tpotWeight": 0}), "ttftWeight: must be more than 0 where tpotWeight is 0")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    let error = Instance::new(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{message}")));
}

/// The mean of `(time, value)`, by the definition of the decay; `None` without any.
fn mean(values: &[(f64, f64)], half_life: f64) -> Option<f64> {
    let now = values.iter().map(|v| v.0).fold(0.0, f64::max);
    let weight = |at: f64| 0.5_f64.powf((now - at) / half_life);
    let sum: f64 = values.iter().map(|v| weight(v.0) * v.1).sum();
    (!values.is_empty()).then(|| sum / values.iter().map(|v| weight(v.0)).sum::<f64>())
}

/// `values` from 0 for the least to 1 for the most of them, 0 where all are equal.
fn normal(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let known = || values.iter().flatten().copied();
    let (least, most) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    let part = |value: f64| if most > least { (value - least) / (most - least) } else { 0.0 };
    values.iter().map(|value| value.map(part)).collect()
}

fn mean_of(values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

proptest! {
    #[test]
    fn the_published_rule(
        answers in prop::collection::vec((0..6_usize, 0..2_000_000_u32, 1..3_000_000_u32, prop::option::of((1..3_000_000_u32, 2..9_u64))), 0..20),
        half_life in 8.0..60.0_f64,
        weights in (0.0..1.0_f64, 0.01..1.0_f64),
    ) {
        let parameters = json!({"halfLifeSeconds": half_life, "ttftWeight": weights.0, "tpotWeight": weights.1});
        let mut bench = Bench::new(parameters, 6);
        let (mut ttft, mut tpot) = (vec![vec![]; 6], vec![vec![]; 6]);
        let mut now = 0.0;
        // Whole microseconds, which are exact in what the plugin is told.
        let seconds = |micros: u32| f64::from(micros) / 1e6;
        for (endpoint, pause, first_byte, stream) in answers {
            // One after the other: an answer begins when the last one has ended.
            let first_byte = seconds(first_byte);
            let duration = first_byte + stream.map_or(0.0, |(more, _)| seconds(more));
            let at = now + seconds(pause);
            let stream = stream.map(|(_, tokens)| (duration, tokens));
            bench.answer(Answer { endpoint, at, first_byte, stream, ..OK });
            now = at + duration;
            ttft[endpoint].push((now, first_byte));
            if let Some((_, tokens)) = stream {
                tpot[endpoint].push((now, (duration - first_byte) / (tokens - 1) as f64));
            }
        }
        // All that is known lies within ten half-lives, or else there is nothing to compare.
        let last = |values: &Vec<(f64, f64)>| values.last().map_or(now, |v| v.0);
        let gaps = |values: &Vec<(f64, f64)>| values.windows(2).all(|pair| pair[1].0 - pair[0].0 < 9.9 * half_life);
        prop_assume!(ttft.iter().all(|values| now - last(values) < 9.9 * half_life && gaps(values)));

        let means = |all: &[Vec<(f64, f64)>]| -> Vec<Option<f64>> { all.iter().map(|v| mean(v, half_life)).collect() };
        let (ttft, tpot) = (normal(&means(&ttft)), normal(&means(&tpot)));
        let usual = mean_of(&tpot).unwrap_or(0.0);
        let total = |(ttft, tpot): (&Option<f64>, &Option<f64>)| {
            ttft.map(|ttft| weights.0 * ttft + weights.1 * tpot.unwrap_or(usual))
        };
        let totals: Vec<_> = ttft.iter().zip(&tpot).map(total).collect();
        let expected: Vec<_> = normal(&totals).iter().map(|value| value.map(|value| 1.0 - value)).collect();
        let unknown = mean_of(&expected).unwrap_or(1.0);
        let scores = bench.scores(now);
        for (score, expected) in scores.iter().zip(&expected) {
            prop_assert!((f64::from(*score) - expected.unwrap_or(unknown)).abs() < 1e-5, "{scores:?} {expected:?}");
        }
    }
}
