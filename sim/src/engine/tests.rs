//! What holds of the engine as a whole.

mod lora;
mod properties;
mod scheduling;

use super::*;

/// Ten milliseconds a step, a millisecond a prefilled token, nothing else.
fn config() -> EngineConfig {
    EngineConfig {
        block_size: 4,
        num_blocks: 100,
        max_num_seqs: 8,
        max_batched_tokens: 32,
        max_model_len: 400,
        max_loras: 2,
        prefix_caching: true,
        rates: StepRates {
            base: 0.01,
            prefill_token: 0.001,
            decode_sequence: 0.0,
            context_token: 0.0,
            jitter: 0.0,
        },
    }
}

fn engine(config: EngineConfig) -> Engine {
    Engine::new(config, 0).unwrap()
}

/// A request whose prompt is `tokens` tokens that nobody else has, unless `content` is the same.
fn request(id: u64, content: u32, tokens: u32, output: u32) -> Request {
    let ids: Vec<u32> = (0..tokens).map(|token| content * 10_000 + token).collect();
    Request {
        id: SequenceId(id),
        prompt: Prompt::new(0, &ids, 4),
        output_seed: id,
        output_tokens: output,
        lora: None,
    }
}

/// A token: when, whose, which, and whether it is the last.
type Token = (u64, u64, u32, bool);

/// Runs the engine from `now` until it is idle; times in milliseconds.
fn run(engine: &mut Engine, now: Duration) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut next = engine.step(now).next;
    while let Some(now) = next {
        let outcome = engine.step(now);
        for output in outcome.outputs {
            tokens.push((now.as_millis() as u64, output.id.0, output.index, output.finished.is_some()));
        }
        engine.assert_consistent();
        next = outcome.next;
    }
    tokens
}

impl Engine {
    fn assert_consistent(&self) {
        self.blocks.assert_consistent(self.running.iter().map(|sequence| sequence.blocks.as_slice()));
        assert!(self.waiting.iter().all(|sequence| sequence.blocks.is_empty()));
    }
}
