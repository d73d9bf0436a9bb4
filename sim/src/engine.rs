//! One replica of an inference engine, as a pure function of time and requests.
//!
//! The scheduler follows vLLM's V1 engine: every step has a budget of tokens that first serves the running sequences
//! (one token each while decoding, a chunk of the prompt while prefilling), then admits waiting ones in order of
//! arrival. KV memory is blocks with reference counts; full blocks are found again by a chain of hashes and evicted
//! least recently used first. When memory runs out, the youngest running sequence is preempted and recomputed.
//!
//! There is no clock and no I/O: the caller gives the time, and [`StepOutcome::next`] says when to call again. The same
//! calls give the same results, so the engine serves a virtual-time simulation and a real-time server alike.

mod block;
mod config;
mod counters;
mod error;
mod prompt;
mod rates;
mod request;
mod scheduler;
mod sequence;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::config::{EngineConfig, Preset};
pub use self::counters::Counters;
pub use self::error::ConfigError;
pub use self::prompt::{Prompt, cache_seed};
pub use self::rates::{StepRates, StepWork};
pub use self::request::{Finished, LoraId, Output, Request, SequenceId, StepOutcome, SubmitError};

use self::block::BlockPool;
use self::sequence::Sequence;

/// One replica of an inference engine. See the [module](self) for what it models.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    blocks: BlockPool,
    /// In order of arrival; preempted sequences come back to the front.
    waiting: VecDeque<Sequence>,
    /// In order of admission.
    running: Vec<Sequence>,
    /// When the step in flight ends.
    ends: Option<Duration>,
    steps: u64,
    seed: u64,
    counters: Counters,
}

impl Engine {
    /// An idle engine with an empty cache. `seed` decides the jitter of step times, and nothing else.
    ///
    /// # Errors
    /// When a number of `config` that must be positive is zero, or a rate is not a finite positive number.
    pub fn new(config: EngineConfig, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            blocks: BlockPool::new(config.num_blocks),
            config,
            waiting: VecDeque::new(),
            running: Vec::new(),
            ends: None,
            steps: 0,
            seed,
            counters: Counters::default(),
        })
    }

    /// Queues a request that arrives at `now`. It is looked at when the next step begins; an idle engine begins none by
    /// itself, so call [`Engine::step`] afterwards.
    ///
    /// # Errors
    /// When the request could never run: no prompt, no answer, or more tokens than the model or the KV memory holds.
    pub fn submit(&mut self, now: Duration, request: Request) -> Result<(), SubmitError> {
        let tokens = request.prompt.tokens().saturating_add(request.output_tokens);
        if request.prompt.tokens() == 0 {
            return Err(SubmitError::EmptyPrompt);
        }
        if request.output_tokens == 0 {
            return Err(SubmitError::EmptyOutput);
        }
        if request.lora.is_some() && self.config.max_loras == 0 {
            return Err(SubmitError::NoLoras);
        }
        if tokens > self.config.context_limit() {
            return Err(SubmitError::TooLong { tokens, limit: self.config.context_limit() });
        }
        self.waiting.push_back(Sequence::new(request, now));
        Ok(())
    }

    /// Takes a sequence out, wherever it is, and gives its blocks back. The step in flight still ends when it would
    /// have. False when there is no such sequence (any more).
    pub fn abort(&mut self, id: SequenceId) -> bool {
        if let Some(at) = self.waiting.iter().position(|sequence| sequence.id() == id) {
            self.waiting.remove(at);
        } else if let Some(at) = self.running.iter().position(|sequence| sequence.id() == id) {
            let sequence = self.running.remove(at);
            self.blocks.release(&sequence.blocks);
        } else {
            return false;
        }
        self.counters.aborted += 1;
        true
    }

    /// Ends the step in flight if it is due at `now`, and begins the next one if there is work and none is in flight.
    ///
    /// Call it at the times of [`StepOutcome::next`], and after [`Engine::submit`] when there is no such time. An early
    /// call changes nothing.
    pub fn step(&mut self, now: Duration) -> StepOutcome {
        let mut outcome = StepOutcome::default();
        if let Some(ends) = self.ends {
            if now < ends {
                outcome.next = Some(ends);
                return outcome;
            }
            self.ends = None;
            self.commit(ends, &mut outcome.outputs);
        }
        if let Some(work) = self.schedule(now) {
            self.steps += 1;
            self.counters.steps += 1;
            self.ends = Some(now + self.config.rates.duration(work, self.seed, self.steps));
        }
        outcome.next = self.ends;
        outcome
    }

    /// When the step in flight ends; `None` while idle.
    pub fn next(&self) -> Option<Duration> {
        self.ends
    }

    /// Changes the step times, from the next step on.
    ///
    /// # Errors
    /// When a rate is not a finite number of at least zero, or a step would take no time at all.
    pub fn set_rates(&mut self, rates: StepRates) -> Result<(), ConfigError> {
        rates.validate()?;
        self.config.rates = rates;
        Ok(())
    }

    /// The configuration in force.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Sequences that hold KV memory.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Sequences that wait to be admitted, preempted ones included.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Share of the KV blocks in use by running sequences, 0 to 1. Blocks that are only cached count as free.
    pub fn kv_usage(&self) -> f64 {
        1.0 - self.blocks.free() as f64 / f64::from(self.config.num_blocks)
    }

    /// Totals since the engine was made.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The adapters of running sequences, each once, in order of admission.
    pub fn running_loras(&self) -> Vec<LoraId> {
        distinct(self.running.iter())
    }

    /// The adapters of waiting sequences, each once, in order of the queue.
    pub fn waiting_loras(&self) -> Vec<LoraId> {
        distinct(self.waiting.iter())
    }

    /// How many tokens at the beginning of `prompt` a request that is admitted now would find in the cache.
    pub fn cached_tokens(&self, prompt: &Prompt) -> u32 {
        self.blocks.cached(prompt.reusable_hashes(self.config.block_size)) * self.config.block_size
    }
}

fn distinct<'a>(sequences: impl Iterator<Item = &'a Sequence>) -> Vec<LoraId> {
    let mut seen = Vec::new();
    for lora in sequences.filter_map(Sequence::lora) {
        if !seen.contains(&lora) {
            seen.push(lora);
        }
    }
    seen
}
