//! What holds for any load.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Call {
    Submit { content: u32, tokens: u32, output: u32, lora: Option<u32> },
    Abort { which: usize },
    Step,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0_u32..4, 1_u32..40, 1_u32..20, proptest::option::of(0_u32..4))
            .prop_map(|(content, tokens, output, lora)| Call::Submit { content, tokens, output, lora }),
        1 => (0_usize..40).prop_map(|which| Call::Abort { which }),
        6 => Just(Call::Step),
    ]
}

fn small() -> EngineConfig {
    EngineConfig { num_blocks: 20, max_num_seqs: 4, max_batched_tokens: 24, max_model_len: 80, ..config() }
}

/// What became of each request: its tokens in order, and whether it finished or was aborted.
#[derive(Debug, Default, PartialEq)]
struct Story {
    expected: u32,
    tokens: Vec<(Duration, u32)>,
    finished: bool,
    aborted: bool,
}

fn play(config: EngineConfig, seed: u64, calls: &[Call]) -> BTreeMap<u64, Story> {
    let mut engine = Engine::new(config, seed).unwrap();
    let mut stories = BTreeMap::<u64, Story>::new();
    let mut now = Duration::ZERO;
    let note = |stories: &mut BTreeMap<u64, Story>, now: Duration, outcome: StepOutcome| {
        for output in outcome.outputs {
            let story = stories.get_mut(&output.id.0).unwrap();
            story.tokens.push((now, output.index));
            assert!(!story.finished && !story.aborted, "a token after the end");
            story.finished = output.finished.is_some();
        }
    };
    for call in calls {
        match call.clone() {
            Call::Submit { content, tokens, output, lora } => {
                let id = stories.len() as u64;
                let request = Request { lora: lora.map(LoraId), ..request(id, content, tokens, output) };
                engine.submit(now, request).unwrap();
                stories.insert(id, Story { expected: output, ..Story::default() });
            }
            Call::Abort { which } => {
                if engine.abort(SequenceId(which as u64)) {
                    stories.get_mut(&(which as u64)).unwrap().aborted = true;
                }
            }
            Call::Step => {
                now = engine.next().unwrap_or(now).max(now);
                let outcome = engine.step(now);
                note(&mut stories, now, outcome);
            }
        }
        engine.assert_consistent();
        assert!(engine.running_loras().len() <= 2 && engine.running() <= 4);
    }
    for _ in 0..100_000 {
        let outcome = engine.step(engine.next().unwrap_or(now));
        now = now.max(outcome.next.unwrap_or(now));
        note(&mut stories, now, outcome);
        engine.assert_consistent();
        if engine.next().is_none() {
            break;
        }
    }
    assert_eq!((engine.running(), engine.waiting(), engine.kv_usage()), (0, 0, 0.0));
    stories
}

proptest! {
    #[test]
    fn nothing_is_lost_and_no_block_leaks(calls in proptest::collection::vec(call(), 1..120)) {
        for (id, story) in play(small(), 0, &calls) {
            prop_assert!(story.finished != story.aborted, "request {} neither finished nor aborted", id);
            let indices: Vec<u32> = story.tokens.iter().map(|token| token.1).collect();
            prop_assert_eq!(indices, (0..story.tokens.len() as u32).collect::<Vec<_>>());
            if story.finished {
                prop_assert_eq!(story.tokens.len() as u32, story.expected);
            }
        }
    }

    #[test]
    fn equal_calls_and_seeds_give_equal_results(
        calls in proptest::collection::vec(call(), 1..60),
        seed in any::<u64>(),
    ) {
        let mut config = small();
        config.rates.jitter = 0.3;
        prop_assert_eq!(play(config.clone(), seed, &calls), play(config, seed, &calls));
    }

    #[test]
    fn first_come_first_served(lengths in proptest::collection::vec((1_u32..40, 1_u32..6), 2..20)) {
        // One content each and memory for all: nobody is helped by the cache or preempted.
        let mut engine = engine(EngineConfig { num_blocks: 1_000, ..small() });
        for (id, (tokens, output)) in lengths.iter().enumerate() {
            engine.submit(Duration::ZERO, request(id as u64, id as u32, *tokens, *output)).unwrap();
        }
        let tokens = run(&mut engine, Duration::ZERO);
        let firsts: Vec<u64> = tokens.iter().filter(|token| token.2 == 0).map(|token| token.1).collect();
        prop_assert_eq!(firsts, (0..lengths.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_longer_cached_prefix_never_costs_more(shared in 0_u32..60, rest in 1_u32..20) {
        let time = |warm: u32| {
            let mut engine = engine(config());
            if warm > 0 {
                engine.submit(Duration::ZERO, request(1, 1, warm, 1)).unwrap();
                run(&mut engine, Duration::ZERO);
            }
            let start = Duration::from_secs(10);
            engine.submit(start, request(2, 1, shared + rest, 1)).unwrap();
            run(&mut engine, start)[0].0
        };
        let (cold, warm) = (time(0), time(shared));
        // Milliseconds a token, and ten for every step that the budget of 32 tokens makes.
        let cost = |tokens: u32| u64::from(tokens + 10 * tokens.div_ceil(32));
        let found = (shared / 4).min((shared + rest - 1) / 4) * 4;
        prop_assert_eq!(cold, 10_000 + cost(shared + rest));
        prop_assert_eq!(warm, 10_000 + cost(shared + rest - found));
    }
}
