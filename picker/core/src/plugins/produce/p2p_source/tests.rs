use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use smallvec::smallvec;

use super::*;
use crate::ask::ProfileResult;
use crate::cx::Cx;
use crate::health::Verdict;
use crate::testing::{Instance, build, request, strategy, unknown, view, with_headers};
use crate::view::{Signals, View};

const KIND: &str = P2pSourceProducer::TYPE;

/// Endpoints with so many waiting requests.
fn queues(waiting: &[Option<f32>]) -> View {
    view(waiting.iter().map(|&waiting| Signals { waiting, ..Signals::default() }))
}

fn matched(blocks: &[u32]) -> PrefixMatch {
    PrefixMatch { hashes: vec![7; 100], block_tokens: 64, matched: blocks.to_vec() }
}

/// The source that is chosen for `request`, as a position.
fn source(producer: &mut Instance, request: &Request, view: &View, blocks: &[u32]) -> Option<usize> {
    producer.produce_knowing(request, view, matched(blocks));
    producer.fact::<Source>().0
}

/// The header of a request that the destination at `decode`, and maybe a prefill server, gets.
fn named(producer: &Instance, view: &View, decode: u32, prefill: Option<u32>) -> Option<String> {
    let mut results: SmallVec<[ProfileResult; 1]> =
        smallvec![ProfileResult { profile: 0, picked: Some(smallvec![decode]) }];
    results.extend(prefill.map(|i| ProfileResult { profile: 1, picked: Some(smallvec![i]) }));
    let decision = Decision { results, primary: 0 };
    let request = Request::default();
    let ask = producer.ask(&request, view, &decision.results);
    let mut launch = Launch::of(&decision, view);
    producer.roles.pre_request.as_ref().unwrap().pre_request(&ask, &decision, &mut launch);
    let headers = launch.edits.headers();
    headers.first().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
}

fn with_id(id: &str) -> Request {
    with_headers([("x-request-id", id)])
}

#[rstest]
#[case::nobody_has_any(&[0, 0, 0], None)]
#[case::one(&[0, 3, 0], Some(1))]
#[case::the_most(&[1, 3, 8], Some(2))]
fn the_server_with_the_most_is_the_source(#[case] blocks: &[u32], #[case] expected: Option<usize>) {
    let (mut producer, view) = (Instance::new(KIND, json!({})).unwrap(), unknown(blocks.len()));
    for id in 0..50 {
        assert_eq!(source(&mut producer, &with_id(&id.to_string()), &view, blocks), expected);
    }
}

#[rstest]
#[case::equal_ones(&[5, 5, 5, 1], &[Some(0.0), Some(0.0), Some(0.0), Some(0.0)], &[1.0, 1.0, 1.0, 0.0])]
#[case::one_block_less(&[5, 4, 3, 0], &[Some(0.0), Some(0.0), Some(0.0), Some(0.0)], &[1.0, 1.0, 0.0, 0.0])]
#[case::queues(&[5, 5, 4, 0], &[Some(0.0), Some(1.0), Some(9.0), Some(0.0)], &[1.0, 0.5, 0.1, 0.0])]
#[case::unknown_queues(&[5, 5, 4, 0], &[None, Some(1.0), Some(f32::NAN), None], &[1.0, 0.5, 1.0, 0.0])]
#[case::none_has_one_block_less(&[1, 0, 0, 0], &[Some(9.0), None, None, None], &[1.0, 0.0, 0.0, 0.0])]
fn sources_are_drawn_by_their_queues(
    #[case] blocks: &[u32],
    #[case] waiting: &[Option<f32>],
    #[case] weights: &[f64],
) {
    let (mut producer, view) = (Instance::new(KIND, json!({})).unwrap(), queues(waiting));
    for has_id in [true, false] {
        let mut drawn = BTreeMap::<usize, u32>::new();
        for n in 0..4000_u64 {
            let request = if has_id { with_id(&format!("request-{n}")) } else { Request::default() };
            // Without an id it is drawn by the prompt.
            let prompt = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let known = PrefixMatch { hashes: vec![7, 7, 7, 7, prompt], ..matched(blocks) };
            producer.produce_knowing(&request, &view, known);
            *drawn.entry(producer.fact::<Source>().0.unwrap()).or_default() += 1;
        }
        for (i, weight) in weights.iter().enumerate() {
            let share = f64::from(drawn.get(&i).copied().unwrap_or(0)) / 4000.0;
            assert!((share - weight / weights.iter().sum::<f64>()).abs() < 0.03, "{i}: {share}");
        }
    }
}

#[test]
fn the_same_request_has_the_same_source() {
    let view = unknown(8);
    let of = |id: &str| {
        source(&mut Instance::new(KIND, json!({})).unwrap(), &with_id(id), &view, &[4; 8]).unwrap()
    };
    // By FNV-1a: 0x811C9DC5 is that of nothing, and 0xE40C292C that of "a".
    assert_eq!([fnv1a(b""), fnv1a(b"a"), fnv1a(b"foobar")], [0x811C_9DC5, 0xE40C_292C, 0xBF9C_F968]);
    assert_eq!([of("a"), of("a"), of("foobar")], [7, 7, 5]);
}

#[rstest]
#[case::more_than_the_destination(json!({}), &[2, 0, 5], 0, None, Some(2))]
#[case::it_is_the_destination(json!({}), &[2, 0, 5], 2, None, None)]
#[case::more_than_prefill(json!({}), &[2, 0, 5], 2, Some(0), Some(2))]
#[case::it_is_prefill(json!({}), &[2, 0, 5], 0, Some(2), None)]
#[case::enough(json!({"minCachedTokenDelta": 192}), &[2, 0, 5], 0, None, Some(2))]
#[case::not_enough(json!({"minCachedTokenDelta": 193}), &[2, 0, 5], 0, None, None)]
#[case::another_profile(json!({"prefillProfileName": "encode"}), &[2, 0, 5], 2, Some(0), None)]
#[case::nobody(json!({}), &[0, 0, 0], 0, None, None)]
fn it_is_named_where_it_has_more(
    #[case] parameters: Value,
    #[case] blocks: &[u32],
    #[case] decode: u32,
    #[case] prefill: Option<u32>,
    #[case] expected: Option<usize>,
) {
    let (mut producer, view) = (Instance::new(KIND, parameters).unwrap(), unknown(3));
    source(&mut producer, &with_id("1"), &view, blocks);
    let expected = expected.map(|i| format!("x-kv-cache-source-host-port: {}", view.endpoints[i].address));
    assert_eq!(named(&producer, &view, decode, prefill), expected);
}

#[test]
fn an_equal_one_within_the_band_is_not_named() {
    // The source may be a block behind the server that computes.
    let (mut producer, view) = (Instance::new(KIND, json!({})).unwrap(), queues(&[Some(1e6), Some(0.0)]));
    assert_eq!(source(&mut producer, &with_id("1"), &view, &[5, 4]), Some(1));
    assert_eq!(named(&producer, &view, 0, None), None);
}

#[test]
fn nobody_reads_from_a_server_that_fails() {
    let (mut producer, view) = (Instance::new(KIND, json!({})).unwrap(), unknown(3));
    let now = Instant::now();
    for _ in 0..20 {
        view.endpoints[2].health().report(Verdict::Unreachable, now, true, 0, now);
    }
    assert!(view.health.any());
    producer.cx = Cx::new(now, 1);
    assert_eq!(source(&mut producer, &with_id("1"), &view, &[2, 1, 9]), Some(0));
    assert_eq!(source(&mut producer, &with_id("1"), &view, &[0, 0, 9]), None);
}

/// What a prompt's second request is told after the first one went to `10.0.0.1`.
fn second(plugins: &str, to: &str) -> Option<String> {
    let strategy = strategy(&format!(
        "plugins: [{{type: {KIND}}}, {{type: header-based-testing-filter}}, {{type: approx-prefix-cache-producer, parameters: {{autoTune: \
         false}}}}{plugins}]"
    ));
    let view = crate::testing::labelled([&[("a", "b")][..], &[("a", "b")], &[("a", "c")]]);
    let prompt = "x".repeat(10_000);
    let mut header = None;
    for endpoint in ["10.0.0.1", to] {
        let mut request = request("m", &prompt);
        request.headers = with_headers([("test-epp-endpoint-selection", endpoint)]).headers;
        let flight = strategy.route(&request, &view, None, &mut Cx::new(Instant::now(), 1)).unwrap();
        header =
            flight.edits().headers().first().map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    }
    header
}

#[test]
fn only_candidates_of_the_request_are_sources() {
    assert_eq!(second("", "10.0.0.2").as_deref(), Some("10.0.0.1:8000"));
    assert_eq!(second("", "10.0.0.1"), None);
    // A screener took out all but the last pod for this request.
    let screener = ", {type: disaggregatedset-rollout-screener, parameters: {scope: {labelSelector: a}, headerSelectors: [{name: a, \
                    headerName: test-epp-endpoint-selection, labelKey: a, mode: prefer}], revisionGating: {revisionLabelKey: a, \
                    roleLabelKey: a, mode: sum, requireRoles: {values: [b]}}}}";
    assert_eq!(second(screener, "10.0.0.0").as_deref(), Some("10.0.0.1:8000"));
}

#[test]
fn wrong_parameters_are_named() {
    let error = build(KIND, json!({"minCachedTokenDelta": 0})).err().unwrap().to_string();
    assert_eq!(error, "plugins[0].parameters.minCachedTokenDelta: must be at least 1");
    let strategy = strategy(&format!("plugins: [{{type: {KIND}, parameters: {{prefillProfileName: p}}}}]"));
    let warnings: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    let expected = "plugins[0].parameters.prefillProfileName: there is no scheduling profile called \"p\": the destination computes \
                    all prompts";
    assert_eq!(warnings, [expected]);
}

proptest! {
    /// The published rule: endpoints with at most one block less than the most, and of these the first whose cumulated weight exceeds
    /// the hash's part of the sum.
    #[test]
    fn the_published_rule_holds(
        rows in prop::collection::vec((0..5_u32, 0..6_u32), 1..12),
        id in "[a-z0-9-]{1,36}",
        computing in 0..12_usize,
        delta in 1..200_u32,
    ) {
        let blocks: Vec<_> = rows.iter().map(|row| row.0).collect();
        let view = queues(&rows.iter().map(|row| Some(row.1 as f32)).collect::<Vec<_>>());
        let mut producer = Instance::new(KIND, json!({"minCachedTokenDelta": delta})).unwrap();
        let found = source(&mut producer, &with_id(&id), &view, &blocks);

        let most = blocks.iter().max().unwrap() * 64;
        let near = |i: &usize| blocks[*i] > 0 && blocks[*i] * 64 + 64 >= most;
        let near: Vec<usize> = (0..rows.len()).filter(near).collect();
        let weight = |i: usize| 1.0 / (1.0 + f64::from(rows[i].1));
        let sum: f64 = near.iter().map(|i| weight(*i)).sum();
        let mut target = f64::from(fnv1a(id.as_bytes())) / 4_294_967_296.0 * sum;
        let mut expected = near.last().copied();
        for &i in &near {
            if target < weight(i) {
                expected = Some(i);
                break;
            }
            target -= weight(i);
        }
        prop_assert_eq!(found, expected);

        let computing = computing % rows.len();
        let named = named(&producer, &view, computing as u32, None);
        let expected = expected.filter(|i| *i != computing && (blocks[*i] * 64) as i64 - (blocks[computing] * 64) as i64 >= delta.into());
        prop_assert_eq!(named, expected.map(|i| format!("x-kv-cache-source-host-port: {}", view.endpoints[i].address)));
    }
}
