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
    /// The models that it lists.
    pub models: Option<Arc<Models>>,
    /// Further columns that the strategy asked for.
    pub others: Vec<(Column, f32)>,
}

impl Signals {
    /// Fills its gaps by `more`.
    pub fn join(&mut self, more: Self) {
        let Self { waiting, running, kv_usage, block_size, num_blocks, cache_tokens, lora, models, others } =
            more;
        self.waiting = self.waiting.or(waiting);
        self.running = self.running.or(running);
        self.kv_usage = self.kv_usage.or(kv_usage);
        self.block_size = self.block_size.or(block_size);
        self.num_blocks = self.num_blocks.or(num_blocks);
        self.cache_tokens = self.cache_tokens.or(cache_tokens);
        self.lora = self.lora.take().or(lora);
        self.models = self.models.take().or(models);
        self.others.extend(others);
    }

    /// What of them lasts: the size of the KV cache is a property of the server.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let Self { block_size, num_blocks, cache_tokens, .. } = *self;
        Self { block_size, num_blocks, cache_tokens, ..Self::default() }
    }
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

/// The models that a server lists, ordered by name, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models(Box<[Model]>);

/// A model that a server lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Model {
    /// The name by which requests ask for it.
    pub id: Box<str>,
    /// Of an adapter, the name of the model that it belongs to.
    pub parent: Option<Box<str>>,
}

impl Models {
    /// The list of `models`. Of equal names the first counts.
    pub fn new(mut models: Vec<Model>) -> Self {
        models.sort_by(|a, b| a.id.cmp(&b.id));
        models.dedup_by(|later, first| later.id == first.id);
        Self(models.into())
    }

    /// Whether one is called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.0.binary_search_by(|model| (*model.id).cmp(name)).is_ok()
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Model> {
        self.0.iter()
    }
}

/// Signals with the time they were read, as the scraper keeps them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What the last successful scrape said.
    pub signals: Signals,
    /// When it ended; `None` before the first one.
    pub at: Option<Instant>,
}
