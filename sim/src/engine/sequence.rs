//! A sequence on its way through the engine.

use std::time::Duration;

use super::block::BlockId;
use super::prompt::block_hash;
use super::{LoraId, Request, SequenceId};
use crate::vocabulary;

/// A sequence, waiting or running.
#[derive(Debug)]
pub(super) struct Sequence {
    request: Request,
    pub arrived: Duration,
    pub admitted: Option<Duration>,
    pub first_token: Option<Duration>,
    /// Tokens with their keys and values in memory.
    pub computed: u32,
    /// Tokens that the step in flight computes.
    pub scheduled: u32,
    /// Tokens of the answer so far.
    pub generated: u32,
    /// Cache hits of the first admission.
    pub cached: Option<u32>,
    /// The blocks it holds, in order.
    pub blocks: Vec<BlockId>,
    /// How many of them can be found by others.
    published: usize,
    /// Hashes of the full blocks of prompt and answer.
    hashes: Vec<u64>,
    /// Tokens after the last full block.
    tail: Vec<u32>,
}

impl Sequence {
    pub fn new(request: Request, now: Duration) -> Self {
        Self {
            hashes: request.prompt.hashes().to_vec(),
            tail: request.prompt.tail().to_vec(),
            request,
            arrived: now,
            admitted: None,
            first_token: None,
            computed: 0,
            scheduled: 0,
            generated: 0,
            cached: None,
            blocks: Vec::new(),
            published: 0,
        }
    }

    pub fn id(&self) -> SequenceId {
        self.request.id
    }

    pub fn lora(&self) -> Option<LoraId> {
        self.request.lora
    }

    pub fn prompt_tokens(&self) -> u32 {
        self.request.prompt.tokens()
    }

    /// Prompt and answer so far.
    pub fn tokens(&self) -> u32 {
        self.prompt_tokens() + self.generated
    }

    /// Whether only its newest token is missing in memory.
    pub fn is_decoding(&self) -> bool {
        self.generated > 0 && self.computed + 1 == self.tokens()
    }

    pub fn is_finished(&self) -> bool {
        self.generated >= self.request.output_tokens
    }

    /// Hashes of what an admission may find in the cache, of the answer too after a preemption.
    pub fn reusable_hashes(&self, block_size: u32) -> &[u64] {
        let reusable = (self.tokens() - 1) / block_size;
        &self.hashes[..self.hashes.len().min(reusable as usize)]
    }

    /// Takes in one generated token.
    pub fn generate(&mut self, block_size: u32) {
        self.tail.push(vocabulary::token(self.request.output_seed, self.generated));
        self.generated += 1;
        // A prompt without known tokens may have a tail of more than a block, which nothing can be found by.
        if self.tail.len() == block_size as usize {
            let parent = self.hashes.last().copied().unwrap_or(self.request.prompt.seed());
            self.hashes.push(block_hash(parent, &self.tail));
            self.tail.clear();
        }
    }

    /// Marks the first `count` blocks as known to the cache.
    pub fn mark_published(&mut self, count: usize) {
        self.published = count;
    }

    /// The blocks that are full once the step in flight ends and not yet published, with their hashes.
    pub fn publish(&mut self, block_size: u32) -> impl Iterator<Item = (BlockId, u64)> + '_ {
        let full = (((self.computed + self.scheduled) / block_size) as usize).min(self.hashes.len());
        let from = self.published;
        let new = from..full.max(from);
        self.published = new.end;
        self.blocks[new.clone()].iter().copied().zip(self.hashes[new].iter().copied())
    }

    /// Back to the queue: memory is lost, the tokens are not.
    pub fn reset(&mut self) -> Vec<BlockId> {
        self.computed = 0;
        self.scheduled = 0;
        self.published = 0;
        std::mem::take(&mut self.blocks)
    }
}
