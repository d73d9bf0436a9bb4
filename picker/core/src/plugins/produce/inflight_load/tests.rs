use std::time::Instant;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::ask::ProfileResult;
use crate::config::Scope;
use crate::cx::Cx;
use crate::endpoint::Live;
use crate::flight::Flight;
use crate::health::Settings;
use crate::request::Request;
use crate::store::StateStore;
use crate::testing::{Instance, build, request, strategy, unknown};
use crate::view::View;

const KIND: &str = "inflight-load-producer";

fn found(blocks: u64, matched: &[u32]) -> PrefixMatch {
    PrefixMatch { hashes: (0..blocks).collect(), block_tokens: 64, matched: matched.into() }
}

/// A request with a prompt of `bytes` bytes, whose answer the client limits.
fn sized(bytes: usize, max_tokens: Option<u64>) -> Request {
    let mut request = request("m", &"x".repeat(bytes));
    request.content.max_tokens = max_tokens;
    request
}

/// What an instance with `parameters` says of `request`, when the prefix cache's producer said `found`.
fn load(parameters: Value, request: &Request, view: &View, found: PrefixMatch) -> RequestLoad {
    let mut producer = Instance::new(KIND, parameters).unwrap();
    producer.produce_knowing(request, view, found);
    producer.fact::<RequestLoad>().clone()
}

#[rstest]
// 2,000 bytes are 500 tokens, in 8 blocks of 64.
#[case::nothing_is_known_of_prefixes(2000, PrefixMatch::default(), 500, &[])]
#[case::nothing_is_known_of_servers(2000, found(8, &[]), 512, &[])]
#[case::whole_blocks_count(2000, found(8, &[0, 3, 8]), 512, &[512, 320, 0])]
#[case::what_is_not_compared_counts_too(2000, found(2, &[0, 1, 2]), 500, &[500, 436, 372])]
#[case::more_than_there_is(2000, found(8, &[9]), 512, &[0])]
#[case::a_part_of_a_token(5, PrefixMatch::default(), 2, &[])]
#[case::no_prompt(0, PrefixMatch::default(), 0, &[])]
fn the_part_of_a_prompt_counts_that_a_server_does_not_have(
    #[case] bytes: usize,
    #[case] found: PrefixMatch,
    #[case] prompt: u64,
    #[case] uncached: &[u64],
) {
    let load = load(json!({}), &sized(bytes, Some(7)), &unknown(3), found);
    assert_eq!(load, RequestLoad { prompt, output: 0, uncached: uncached.into() });
}

#[rstest]
#[case::default_ratio(json!({}), 500, None, 750)]
#[case::rounded_up(json!({"outputRatio": 0.3}), 5, None, 2)]
#[case::rounded_down(json!({"outputRatio": 0.24}), 6, None, 1)]
#[case::nothing(json!({"outputRatio": 0}), 500, None, 0)]
#[case::client_limit(json!({}), 500, Some(100), 100)]
#[case::client_limit_above(json!({}), 500, Some(751), 750)]
#[case::operator_limit(json!({"maxEstimatedOutputTokens": 200}), 500, None, 200)]
#[case::the_lower_limit(json!({"maxEstimatedOutputTokens": 200}), 500, Some(150), 150)]
#[case::the_lower_limit(json!({"maxEstimatedOutputTokens": 120}), 500, Some(150), 120)]
#[case::no_output_at_all(json!({"maxEstimatedOutputTokens": 0}), 500, None, 0)]
#[case::very_many(json!({"outputRatio": 1e300}), 500, None, u64::MAX)]
fn an_answer_is_estimated_from_the_whole_prompt(
    #[case] mut parameters: Value,
    #[case] prompt: u64,
    #[case] limit: Option<u64>,
    #[case] expected: u64,
) {
    parameters["addEstimatedOutputTokens"] = json!(true);
    let request = sized(prompt as usize * 4, limit);
    let load = load(parameters, &request, &unknown(1), found(8, &[8]));
    assert_eq!((load.output, load.uncached), (expected, vec![0]));
}

#[rstest]
#[case(json!({"outputRatio": -0.5}), "plugins[0].parameters.outputRatio: must be at least 0")]
#[case(
    json!({"maxEstimatedOutputTokens": -1}),
    "plugins[0].parameters.maxEstimatedOutputTokens: invalid value: integer `-1`, expected u64"
)]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] expected: &str) {
    assert_eq!(build(KIND, parameters).err().map(|e| e.to_string()).as_deref(), Some(expected));
}

#[test]
fn replicas_do_not_know_each_other() {
    let routing = json!({"plugins": [
        {"type": KIND, "parameters": {"syncCrossReplicaState": true}}, {"type": "token-load-scorer"},
    ]});
    let compiled = crate::compile::compile(&routing, Scope::File, &StateStore::default()).unwrap();
    let warnings: Vec<_> = compiled.strategy.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "plugins[0].parameters.syncCrossReplicaState: has no effect: replicas don't know each other's load; leave it out"
        ]
    );
}

/// Requests and tokens under way at each endpoint.
fn under_way(view: &View) -> Vec<(u32, u64)> {
    let of = |live: &Live| (live.in_flight(), live.tokens());
    view.endpoints.iter().map(|e| of(e.live())).collect()
}

/// A request of 500 tokens to endpoint 0, whose prefill is done by endpoint 1, which has half of the prompt.
fn launched(parameters: Value, view: &View) -> Flight {
    let mut producer = Instance::new(KIND, parameters).unwrap();
    let request = sized(2000, None);
    producer.produce_knowing(&request, view, found(8, &[0, 4, 0]));
    let result =
        |profile, endpoint| ProfileResult { profile, picked: Some(smallvec::smallvec![endpoint, 2]) };
    let none = ProfileResult { profile: 2, picked: None };
    let decision = Decision { results: smallvec::smallvec![none, result(1, 1), result(0, 0)], primary: 2 };
    let mut launch = Launch::of(&decision, view);
    let ask = producer.ask(&request, view, &decision.results);
    producer.roles.pre_request.as_ref().unwrap().pre_request(&ask, &decision, &mut launch);
    let targets = smallvec::smallvec![view.endpoints[0].clone()];
    Flight::new(
        "".into(),
        targets,
        launch.bookings,
        launch.edits,
        Vec::new(),
        Instant::now(),
        &Settings::default(),
    )
}

#[rstest]
#[case::prompt_only(json!({}), [(1, 512), (1, 256)], [(1, 0), (0, 0)])]
#[case::with_the_answer(json!({"addEstimatedOutputTokens": true}), [(1, 1262), (1, 256)], [(1, 1262), (0, 0)])]
fn tokens_are_given_back_when_they_have_been_computed(
    #[case] parameters: Value,
    #[case] sent: [(u32, u64); 2],
    #[case] first_byte: [(u32, u64); 2],
) {
    let view = unknown(3);
    let of_all = |[a, b]: [(u32, u64); 2]| vec![a, b, (0, 0)];
    let mut flight = launched(parameters.clone(), &view);
    assert_eq!(under_way(&view), of_all(sent));
    flight.chunk(b"", Instant::now);
    assert_eq!(under_way(&view), of_all(sent));
    flight.chunk(b"data", Instant::now);
    assert_eq!(under_way(&view), of_all(first_byte));
    flight.ended(None, Instant::now());
    assert_eq!(under_way(&view), [(0, 0); 3]);
    // One that is cut before its first byte.
    drop(launched(parameters, &view));
    assert_eq!(under_way(&view), [(0, 0); 3]);
}

#[test]
fn a_stage_that_the_destination_does_itself_counts_once() {
    let view = unknown(1);
    let mut producer = Instance::new(KIND, json!({"addEstimatedOutputTokens": true})).unwrap();
    let request = sized(2000, None);
    producer.produce_knowing(&request, &view, found(8, &[0]));
    let result = |profile| ProfileResult { profile, picked: Some(smallvec::smallvec![0]) };
    let decision = Decision { results: smallvec::smallvec![result(1), result(0)], primary: 1 };
    let mut launch = Launch::of(&decision, &view);
    let ask = producer.ask(&request, &view, &decision.results);
    producer.roles.pre_request.as_ref().unwrap().pre_request(&ask, &decision, &mut launch);
    assert_eq!(under_way(&view), [(1, 1262)]);
}

/// The profile of a strategy with `scorers`.
fn profile(scorers: &[&str]) -> Value {
    let plugins: Vec<_> = scorers.iter().map(|scorer| json!({"pluginRef": scorer})).collect();
    json!([{"name": "default", "plugins": plugins}])
}

#[rstest]
#[case::made_by_itself(&["token-load-scorer"], &["token-load-scorer"], 1, [500, 500])]
#[case::alone(&[KIND, "random-picker"], &["random-picker"], 1, [500, 500])]
#[case::with_prefixes(&[KIND, "prefix-cache-scorer"], &["prefix-cache-scorer"], 2, [512, 0])]
#[case::both_made_by_themselves(
    &["token-load-scorer", "prefix-cache-scorer"],
    &["token-load-scorer", "prefix-cache-scorer"],
    2,
    [512, 0]
)]
#[case::with_prefixes_of_the_configuration(
    &["approx-prefix-cache-producer", "token-load-scorer"],
    &["token-load-scorer"],
    2,
    [512, 0]
)]
fn prefixes_count_where_they_are_known(
    #[case] kinds: &[&str],
    #[case] scorers: &[&str],
    #[case] producers: usize,
    #[case] tokens: [u64; 2],
) {
    let plugins: Vec<_> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    let routing = json!({"plugins": plugins, "schedulingProfiles": profile(scorers)});
    let strategy = strategy(&routing.to_string());
    assert_eq!(strategy.producers.len(), producers);
    let (view, request) = (unknown(1), sized(2000, None));
    let booked = tokens.map(|_| {
        let mut cx = Cx::new(Instant::now(), 1);
        let flight = strategy.route(&request, &view, None, &mut cx).unwrap();
        let booked = view.endpoints[0].live().tokens();
        drop(flight);
        booked
    });
    assert_eq!((booked, under_way(&view)), (tokens, vec![(0, 0)]));
}

#[test]
fn prefixes_of_a_producer_that_is_named_must_be_there() {
    let routing = json!({
        "plugins": [{"type": KIND, "parameters": {"prefixMatchInfoProducerName": "exact"}}, {"type": "queue-scorer"}],
        "schedulingProfiles": profile(&["queue-scorer"]),
    });
    let compiled = crate::compile::compile(&routing, Scope::File, &StateStore::default());
    let errors: Vec<_> = compiled.err().unwrap().0.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "plugins[0].parameters.prefixMatchInfoProducerName: there is no plugin called exact; add one of type \
          approx-prefix-cache-producer, or leave this out"
        ]
    );
}

/// Tokens that one request of 2000 bytes books with these plugins, of which the profile has `scorers`.
fn booked(plugins: Value, scorers: &[&str]) -> u64 {
    let strategy = strategy(&json!({"plugins": plugins, "schedulingProfiles": profile(scorers)}).to_string());
    let view = unknown(1);
    let flight = strategy.route(&sized(2000, None), &view, None, &mut Cx::new(Instant::now(), 1)).unwrap();
    let booked = view.endpoints[0].live().tokens();
    drop(flight);
    booked
}

#[test]
fn one_of_another_name_is_the_one_that_is_read_from() {
    let renamed = json!({"type": KIND, "name": "inflight-load"});
    let scorer = json!({"type": "token-load-scorer"});
    let scorers = &["token-load-scorer"];
    assert_eq!(booked(json!([renamed, scorer]), scorers), 500);
    assert_eq!(booked(json!([scorer, renamed]), scorers), 500);
    let named =
        |name: &str| json!({"type": "token-load-scorer", "parameters": {"inFlightLoadProducerName": name}});
    assert_eq!(booked(json!([renamed, named("inflight-load")]), scorers), 500);
    for default in ["", KIND] {
        assert_eq!(booked(json!([renamed, named(default)]), scorers), 500, "{default:?}");
    }
    // So it is with the producer that it reads from itself.
    let prefixes = json!({"type": "approx-prefix-cache-producer", "name": "mine"});
    assert_eq!(booked(json!([renamed, scorer, prefixes]), scorers), 512);
}

#[test]
fn a_second_one_is_refused() {
    let told = |names: [&str; 2]| {
        let plugins = names.map(|name| json!({"type": KIND, "name": name}));
        let routing = json!({"plugins": plugins});
        let compiled = crate::compile::compile(&routing, Scope::File, &StateStore::default());
        compiled.err().unwrap().0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let expected = "plugins[1].type: \"b\" counts the same tokens a second time, beside \"a\"; one is enough: take one \
                    of them out";
    assert_eq!(told(["a", "b"]), [expected]);
    assert_eq!(
        told(["a", "a"]),
        ["plugins[1].name: \"a\" is the name of an earlier plugin; give one another name"]
    );
}

#[test]
fn tokens_that_were_counted_count() {
    let mut producer =
        Instance::new(KIND, json!({"addEstimatedOutputTokens": true, "outputRatio": 2.0})).unwrap();
    for (tokens, prompt) in [(Some(120), 120), (None, 500)] {
        let tokens = PromptTokens { count: tokens, ..PromptTokens::default() };
        producer.produce_knowing(&sized(2000, None), &unknown(1), tokens);
        let expected = RequestLoad { prompt, output: 2 * prompt, uncached: vec![] };
        assert_eq!(producer.fact::<RequestLoad>(), &expected);
    }
}
