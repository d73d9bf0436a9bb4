//! Golden schedules.

use super::*;

#[test]
fn prefill_then_one_token_a_step() {
    let mut engine = engine(config());
    engine.submit(Duration::ZERO, request(1, 1, 10, 3)).unwrap();
    assert_eq!(run(&mut engine, Duration::ZERO), [(20, 1, 0, false), (30, 1, 1, false), (40, 1, 2, true)]);
}

#[test]
fn a_long_prompt_is_prefilled_in_chunks_while_others_decode() {
    let mut engine = engine(config());
    engine.submit(Duration::ZERO, request(1, 1, 4, 4)).unwrap();
    assert_eq!(engine.step(Duration::ZERO).next, Some(Duration::from_millis(14)));
    engine.submit(Duration::from_millis(1), request(2, 2, 60, 1)).unwrap();
    // Steps of 31, then 29 tokens of the second prompt beside one token of the first.
    assert_eq!(
        run(&mut engine, Duration::from_millis(14))[..],
        [(55, 1, 1, false), (94, 1, 2, false), (94, 2, 0, true), (104, 1, 3, true)]
    );
}

#[test]
fn an_early_call_changes_nothing() {
    let mut engine = engine(config());
    engine.submit(Duration::ZERO, request(1, 1, 10, 1)).unwrap();
    let begun = engine.step(Duration::ZERO);
    assert_eq!(engine.step(Duration::from_millis(19)), begun);
    let ended = engine.step(Duration::from_millis(20));
    let finished = Finished {
        prompt_tokens: 10,
        output_tokens: 1,
        arrived: Duration::ZERO,
        admitted: Duration::ZERO,
        first_token: Duration::from_millis(20),
        ended: Duration::from_millis(20),
    };
    let output = Output { id: SequenceId(1), index: 0, cached_tokens: 0, finished: Some(finished) };
    assert_eq!(ended, StepOutcome { outputs: vec![output], next: None });
}

#[test]
fn seats_are_given_in_order_of_arrival() {
    let mut engine = engine(EngineConfig { max_num_seqs: 1, ..config() });
    for id in 1..=3 {
        engine.submit(Duration::ZERO, request(id, id as u32, 10, 1)).unwrap();
    }
    engine.step(Duration::ZERO);
    assert_eq!((engine.running(), engine.waiting()), (1, 2));
    assert_eq!(run(&mut engine, Duration::ZERO), [(20, 1, 0, true), (40, 2, 0, true), (60, 3, 0, true)]);
}

#[test]
fn a_cached_prefix_shortens_the_prefill() {
    let mut engine = engine(config());
    engine.submit(Duration::ZERO, request(1, 1, 21, 1)).unwrap();
    assert_eq!(run(&mut engine, Duration::ZERO), [(31, 1, 0, true)]);
    let again = request(2, 1, 21, 1);
    assert_eq!(engine.cached_tokens(&again.prompt), 20);
    engine.submit(Duration::from_secs(1), again).unwrap();
    assert_eq!(run(&mut engine, Duration::from_secs(1)), [(1_011, 2, 0, true)]);
    let counters = engine.counters();
    assert_eq!((counters.cache_queries, counters.cache_hits, counters.prefill_tokens), (42, 20, 22));
}

#[test]
fn an_answer_that_comes_back_as_history_is_cached_too() {
    let mut engine = engine(config());
    engine.submit(Duration::ZERO, request(1, 1, 6, 11)).unwrap();
    run(&mut engine, Duration::ZERO);
    let mut history: Vec<u32> = (0..6).map(|token| 10_000 + token).collect();
    history.extend((0..11).map(|index| crate::vocabulary::token(1, index)));
    // The last token of the answer was never computed: 16 of 17 are in memory.
    assert_eq!(engine.cached_tokens(&Prompt::new(0, &[history, vec![1, 2, 3]].concat(), 4)), 16);
}

#[test]
fn without_the_cache_nothing_is_found() {
    let mut engine = engine(EngineConfig { prefix_caching: false, ..config() });
    for id in 1..=2 {
        engine.submit(Duration::ZERO, request(id, 1, 21, 1)).unwrap();
        run(&mut engine, Duration::ZERO);
    }
    assert_eq!((engine.counters().cache_hits, engine.counters().prefill_tokens), (0, 42));
}

#[test]
fn the_youngest_gives_way_when_memory_lacks_and_still_finishes() {
    let mut engine = engine(EngineConfig { num_blocks: 6, ..config() });
    engine.submit(Duration::ZERO, request(1, 1, 10, 12)).unwrap();
    engine.submit(Duration::ZERO, request(2, 2, 10, 12)).unwrap();
    let tokens = run(&mut engine, Duration::ZERO);
    let last = |id: u64| tokens.iter().rev().find(|token| token.1 == id).copied().unwrap();
    assert_eq!((last(1).2, last(1).3, last(2).2, last(2).3), (11, true, 11, true));
    assert!(last(1).0 < last(2).0);
    assert_eq!((engine.counters().preemptions, engine.counters().finished), (1, 2));
    assert_eq!(engine.kv_usage(), 0.0);
}

#[test]
fn usage_counts_blocks_in_use() {
    let mut engine = engine(config());
    engine.submit(Duration::ZERO, request(1, 1, 10, 2)).unwrap();
    engine.step(Duration::ZERO);
    assert!((engine.kv_usage() - 0.03).abs() < 1e-9);
}

#[test]
fn an_aborted_sequence_gives_its_memory_and_seat_back() {
    let mut engine = engine(EngineConfig { max_num_seqs: 1, ..config() });
    engine.submit(Duration::ZERO, request(1, 1, 10, 100)).unwrap();
    engine.submit(Duration::ZERO, request(2, 2, 10, 1)).unwrap();
    engine.submit(Duration::ZERO, request(3, 3, 10, 1)).unwrap();
    engine.step(Duration::ZERO);
    assert!(engine.abort(SequenceId(1)));
    assert!(engine.abort(SequenceId(3)));
    assert!(!engine.abort(SequenceId(3)));
    engine.assert_consistent();
    assert_eq!((engine.running(), engine.waiting(), engine.kv_usage()), (0, 1, 0.0));
    assert_eq!(run(&mut engine, Duration::from_millis(20)), [(40, 2, 0, true)]);
    assert_eq!((engine.counters().aborted, engine.counters().finished), (2, 1));
}

#[test]
fn refuses_what_could_never_run() {
    let mut engine = engine(EngineConfig { max_loras: 0, ..config() });
    let submit = |engine: &mut Engine, request| engine.submit(Duration::ZERO, request);
    assert_eq!(submit(&mut engine, request(1, 1, 0, 1)), Err(SubmitError::EmptyPrompt));
    assert_eq!(submit(&mut engine, request(1, 1, 1, 0)), Err(SubmitError::EmptyOutput));
    assert_eq!(
        submit(&mut engine, request(1, 1, 390, 11)),
        Err(SubmitError::TooLong { tokens: 401, limit: 400 })
    );
    let adapted = Request { lora: Some(LoraId(0)), ..request(1, 1, 1, 1) };
    assert_eq!(submit(&mut engine, adapted), Err(SubmitError::NoLoras));
    assert_eq!(engine.waiting(), 0);
}
