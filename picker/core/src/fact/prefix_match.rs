//! How much of a prompt each endpoint has in its prefix cache.

use super::Fact;
use crate::inputs::Inputs;

/// How much of a prompt each endpoint is believed to have in its prefix cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixMatch {
    /// Chained hashes of the prompt's blocks.
    pub hashes: Vec<u64>,
    /// Tokens per block.
    pub block_tokens: u32,
    /// Blocks from the start that the endpoint at the same position of the view has; empty when nothing is known of
    /// any.
    pub matched: Vec<u32>,
}

impl PrefixMatch {
    /// Blocks from the start that the endpoint at position `endpoint` of the view has.
    pub fn blocks(&self, endpoint: usize) -> u32 {
        self.matched.get(endpoint).copied().unwrap_or(0)
    }

    /// The part of the prompt that the endpoint at position `endpoint` of the view has, 0 to 1.
    pub fn share(&self, endpoint: usize) -> f32 {
        if self.hashes.is_empty() { 0.0 } else { self.blocks(endpoint) as f32 / self.hashes.len() as f32 }
    }

    /// Tokens of the compared part of the prompt, whole blocks of them.
    pub fn tokens(&self) -> u64 {
        self.hashes.len() as u64 * u64::from(self.block_tokens)
    }

    /// Tokens of the prompt that the endpoint at position `endpoint` of the view has, whole blocks of them.
    pub fn cached_tokens(&self, endpoint: usize) -> u64 {
        u64::from(self.blocks(endpoint)) * u64::from(self.block_tokens)
    }
}

impl Fact for PrefixMatch {
    const NAME: &'static str = "prefix match";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("approx-prefix-cache-producer");

    fn clear(&mut self) {
        self.hashes.clear();
        self.matched.clear();
        self.block_tokens = 0;
    }

    fn inputs(&self, inputs: &mut Inputs<'_>) {
        inputs.number("matchedBlocks", |i| self.blocks(i) as f32);
        inputs.common("promptBlocks", self.hashes.len() as f32);
        inputs.common("blockTokens", self.block_tokens as f32);
    }
}
