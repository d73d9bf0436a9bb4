use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::ask::ProfileResult;
use crate::compile::compile;
use crate::config::Scope;
use crate::request::{Request, Text};
use crate::store::StateStore;
use crate::testing::{Instance, build, request, strategy, unknown, view};
use crate::view::{Signals, View};

const KIND: &str = "approx-prefix-cache-producer";

fn producer(parameters: Value) -> Instance {
    Instance::new(KIND, parameters).unwrap()
}

fn servers(caches: &[(u32, u32)]) -> View {
    view(caches.iter().map(|&(block_size, num_blocks)| Signals {
        block_size: Some(block_size),
        num_blocks: Some(num_blocks),
        ..Signals::default()
    }))
}

fn find<'a>(producer: &'a mut Instance, request: &Request, view: &View) -> &'a PrefixMatch {
    producer.produce(request, view);
    producer.fact()
}

/// Routes `request` to endpoint `chosen`.
fn launch(producer: &mut Instance, request: &Request, view: &View, chosen: &[u32]) {
    producer.produce(request, view);
    let result = |&endpoint| ProfileResult { profile: 0, picked: Some(smallvec::smallvec![endpoint]) };
    let decision = Decision { results: chosen.iter().map(result).collect(), primary: 0 };
    let ask = producer.ask(request, view, &decision.results);
    let plugin = producer.roles.pre_request.as_ref().unwrap();
    plugin.pre_request(&ask, &decision, &mut Launch::of(&decision, view));
}

#[rstest]
#[case::floor(json!({}), &[], 64)]
#[case::given(json!({"blockSizeTokens": 100}), &[], 100)]
#[case::given_and_small(json!({"blockSizeTokens": 0}), &[], 64)]
#[case::given_and_huge(json!({"blockSizeTokens": 1_000_000}), &[], 1 << 16)]
#[case::given_in_bytes(json!({"blockSize": 1000}), &[], 250)]
#[case::tokens_before_bytes(json!({"blockSize": 1000, "blockSizeTokens": 80}), &[], 80)]
#[case::reported(json!({"blockSizeTokens": 100}), &[(128, 10), (0, 0)], 128)]
#[case::reported_and_small(json!({"blockSizeTokens": 100}), &[(16, 10)], 64)]
#[case::that_of_most(json!({}), &[(128, 10), (256, 10), (128, 10)], 128)]
#[case::the_largest_of_several(json!({}), &[(128, 10), (256, 10), (16, 10)], 256)]
#[case::beyond_belief(json!({"blockSizeTokens": 100}), &[(u32::MAX, 10), (16_385, 10)], 100)]
#[case::reported_but_not_tuned(json!({"autoTune": false, "blockSizeTokens": 100}), &[(128, 10)], 100)]
fn block_size(#[case] parameters: Value, #[case] caches: &[(u32, u32)], #[case] expected: u32) {
    let mut producer = producer(parameters);
    let found = find(&mut producer, &request("m", &"x".repeat(2000)), &servers(caches));
    assert_eq!(
        (found.block_tokens, found.hashes.len()),
        (expected, 2000_usize.div_ceil(expected as usize * 4))
    );
}

#[rstest]
#[case::default(json!({}), 2048)]
#[case::tokens(json!({"maxPrefixTokensToMatch": 640}), 10)]
#[case::less_than_a_block(json!({"maxPrefixTokensToMatch": 10}), 1)]
#[case::blocks(json!({"maxPrefixTokensToMatch": 0, "maxPrefixBlocksToMatch": 7}), 7)]
#[case::tokens_before_blocks(json!({"maxPrefixTokensToMatch": 640, "maxPrefixBlocksToMatch": 7}), 10)]
#[case::no_limit(json!({"maxPrefixTokensToMatch": 0, "maxPrefixBlocksToMatch": 0}), 4000)]
fn longest_prefix(#[case] parameters: Value, #[case] expected: usize) {
    let mut producer = producer(parameters);
    let found = find(&mut producer, &request("m", &"x".repeat(4000 * 256)), &unknown(1));
    assert_eq!(found.hashes.len(), expected);
}

#[rstest]
#[case::not_reported(json!({}), (0, 0), 31_250)]
#[case::given(json!({"lruCapacityPerServer": 5}), (16, 0), 5)]
#[case::reported_in_its_own_blocks(json!({}), (16, 8000), 2000)]
#[case::reported_and_tiny(json!({}), (16, 1), 1)]
#[case::reported_and_huge(json!({}), (16_384, u32::MAX), 1 << 20)]
#[case::reported_and_beyond_belief(json!({}), (16_385, u32::MAX), 31_250)]
#[case::reported_but_not_tuned(json!({"autoTune": false}), (16, 8000), 31_250)]
#[case::with_a_tier_below(json!({"offloadTokensPerServer": 64_000}), (16, 8000), 3000)]
#[case::with_a_tier_of_what_is_not_known(json!({"offloadTokensPerServer": 64_000}), (16, 0), 31_250)]
fn capacity(#[case] parameters: Value, #[case] cache: (u32, u32), #[case] expected: u32) {
    let params: Params = serde_json::from_value(parameters).unwrap();
    let producer = ApproxPrefixCacheProducer {
        found: Slot::new(0),
        tokens: Slot::new(1),
        groups: Slot::new(2),
        auto_tune: params.auto_tune,
        block_tokens: params.block_tokens(),
        max_blocks: 0,
        max_tokens: 0,
        capacity: params.lru_capacity_per_server,
        offload_tokens: params.offload_tokens_per_server,
        index: Arc::new(PrefixIndex::new(Arc::default())),
    };
    assert_eq!(producer.capacity(&servers(&[cache]), 0, 64), expected);
}

#[test]
fn what_a_server_says_of_its_tokens_goes_before_its_blocks() {
    let mut producer = producer(json!({}));
    // Its blocks would keep one of these prompts, and are larger than the unit in which it finds them again.
    let hybrid =
        Signals { block_size: Some(64), num_blocks: Some(4), cache_tokens: Some(1024), ..Signals::default() };
    let view = view([hybrid]);
    let prompts = ["a", "b", "c", "d"].map(|letter| request("m", &letter.repeat(1024)));
    prompts.iter().for_each(|prompt| launch(&mut producer, prompt, &view, &[0]));
    let kept: Vec<_> =
        prompts.iter().map(|prompt| find(&mut producer, prompt, &view).matched.clone()).collect();
    assert_eq!(kept, [[4], [4], [4], [4]]);
}

#[test]
fn a_prompt_is_found_where_it_was_sent_as_far_as_it_is_the_same() {
    let (mut producer, view) = (producer(json!({})), unknown(3));
    let [system, question] = ["s".repeat(1024), "q".repeat(512)];
    launch(&mut producer, &request("m", &format!("{system}{question}")), &view, &[1]);
    launch(&mut producer, &request("m", &system), &view, &[2]);

    let mut matched = |model, prompt: &str| {
        let found = find(&mut producer, &request(model, prompt), &view);
        (found.hashes.len(), found.matched.clone())
    };
    assert_eq!(matched("m", &format!("{system}{question}")), (6, vec![0, 6, 4]));
    assert_eq!(matched("m", &format!("{system}another question")), (5, vec![0, 4, 4]));
    assert_eq!(matched("m", &format!("x{system}{question}")), (7, vec![0, 0, 0]));
    assert_eq!(matched("another model", &system), (4, vec![0, 0, 0]));
    assert_eq!(matched("m", ""), (0, vec![]));
}

#[test]
fn a_salt_keeps_prompts_apart() {
    let (mut producer, view) = (producer(json!({})), unknown(1));
    let salted = |salt: &str| {
        let mut request = request("m", &"x".repeat(600));
        request.content.cache_salt = Some(Text::Unescaped(salt.into()));
        request
    };
    launch(&mut producer, &salted("a"), &view, &[0]);
    assert_eq!(find(&mut producer, &salted("a"), &view).matched, [3]);
    assert_eq!(find(&mut producer, &salted("b"), &view).matched, [0]);
}

#[test]
fn the_endpoints_of_all_profiles_have_the_prompt() {
    let (mut producer, view) = (producer(json!({})), unknown(3));
    let request = request("m", &"x".repeat(600));
    launch(&mut producer, &request, &view, &[2, 0]);
    assert_eq!(find(&mut producer, &request, &view).matched, [3, 0, 3]);
}

#[test]
fn a_capacity_beyond_the_most_counts_as_the_most() {
    assert!(build(KIND, json!({"lruCapacityPerServer": 1_048_577})).is_ok());
}

#[test]
fn scraping_is_needed_only_to_tune() {
    let scraped = |tune: bool| {
        let strategy = strategy(&format!("plugins: [{{type: {KIND}, parameters: {{autoTune: {tune}}}}}]"));
        assert_eq!(strategy.needs, Needs::BODY);
        strategy.scrape.is_some()
    };
    assert_eq!([scraped(true), scraped(false)], [true, false]);
}

#[test]
fn all_instances_of_a_strategy_share_one_memory() {
    let routing = json!({
        "plugins": [{"type": KIND, "name": "a"}, {"type": KIND, "name": "b"}, {"type": "random-picker"}],
        "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": "random-picker"}]}],
    });
    let store = StateStore::default();
    let compiled = compile(&routing, Scope::Resource, &store).unwrap();
    store.commit(compiled.staging);
    let memory: Arc<Memory> = store.get(KIND, "").unwrap();
    // The store, this test, and two indexes.
    assert_eq!(Arc::strong_count(&memory), 4);
}

#[test]
fn where_a_leader_passes_requests_on_the_pods_of_its_group_have_the_prompt() {
    use crate::plugins::pd_groups::Pair;
    use crate::plugins::pd_groups::tests::{POOL, fact, pods};
    let (view, request) = (pods(&POOL), request("m", &"x".repeat(600)));
    let mut producer = producer(json!({}));
    for (destination, pair) in [(4, Pair { prefill: 6, decode: 7 }), (8, Pair { prefill: 8, decode: 8 })] {
        producer.produce(&request, &view);
        let groups = fact(&view);
        groups.note(destination as usize, pair);
        producer.learn(groups);
        let result = ProfileResult { profile: 0, picked: Some(smallvec::smallvec![destination]) };
        let decision = Decision { results: smallvec::smallvec![result], primary: 0 };
        let ask = producer.ask(&request, &view, &decision.results);
        producer.roles.pre_request.as_ref().unwrap().pre_request(
            &ask,
            &decision,
            &mut Launch::of(&decision, &view),
        );
    }
    assert_eq!(find(&mut producer, &request, &view).matched, [0, 0, 0, 0, 0, 0, 3, 3, 3]);
}

#[test]
fn tokens_that_were_counted_are_compared_in_place_of_bytes() {
    let mut producer = producer(json!({}));
    let (view, request) = (servers(&[(0, 0)]), request("m", &"x".repeat(4096)));
    producer.produce(&request, &view);
    let by_bytes = producer.fact::<PrefixMatch>().clone();
    assert_eq!(by_bytes.hashes.len(), 16);
    let bytes: Vec<u8> = (0..100_u32).flat_map(u32::to_le_bytes).collect();
    let tokens = PromptTokens { count: Some(100), bytes, ..PromptTokens::default() };
    producer.produce_knowing(&request, &view, tokens);
    // Blocks of 64 tokens.
    let by_tokens = producer.fact::<PrefixMatch>().clone();
    assert_eq!(by_tokens.hashes.len(), 2);
    assert_ne!(by_tokens.hashes, by_bytes.hashes[..2]);
}
