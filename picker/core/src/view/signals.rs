//! What a scrape of a model server says.

use std::sync::Arc;
use std::time::Instant;

use crate::column::Column;

/// What one scrape of a model server said. `None` means that the server did not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// Requests waiting in the server's queue.
    pub waiting: Option<f32>,
    /// Requests being computed.
    pub running: Option<f32>,
    /// Share of the KV cache in use, 0 to 1.
    pub kv_usage: Option<f32>,
    /// Tokens per KV-cache block; where prefixes are matched in other units than blocks, tokens per such unit.
    pub block_size: Option<u32>,
    /// KV-cache blocks on the accelerator.
    pub num_blocks: Option<u32>,
    /// Tokens that the KV cache keeps, on the accelerator or in a tier below it, where the server tells more than blocks;
    /// otherwise it is what its blocks hold.
    pub cache_tokens: Option<u64>,
    /// LoRA adapters.
    pub lora: Option<Arc<LoraState>>,
    /// Further columns that the strategy asked for.
    pub others: Vec<(Column, f32)>,
}

/// LoRA adapters of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoraState {
    /// Adapters that fit at once.
    pub max: u32,
    /// Adapters being used by running requests.
    pub running: Vec<Box<str>>,
    /// Adapters that waiting requests ask for and no running one uses.
    pub waiting: Vec<Box<str>>,
}

/// Signals with the time they were read, as the scraper keeps them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What the last successful scrape said.
    pub signals: Signals,
    /// When it ended; `None` before the first one.
    pub at: Option<Instant>,
}
