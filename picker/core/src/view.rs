//! One consistent picture of all endpoints, as columns: what filters and scorers read.

use std::hash::Hasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHasher;

use crate::column::Column;
use crate::endpoint::Endpoint;
use crate::health::{Phase, PoolHealth};

mod address;
mod candidates;
mod signals;

#[cfg(test)]
mod tests;

pub use address::Address;
pub use candidates::Candidates;
pub use signals::{LoraState, Model, Models, Reading, Signals};

/// The largest number of tokens per KV-cache block that is believed. Most engines have 16 to 256; with models
/// that are only partly transformers vLLM comes to several thousand.
pub const MAX_BLOCK_SIZE: u32 = 16 << 10;

/// Immutable snapshot of all endpoints. A number that is unknown or stale is NaN in its column: never
/// full and never empty. All columns have the length of `endpoints`.
#[derive(Debug)]
pub struct View {
    /// The endpoints, ordered by id. Shared, so that what watches a response may know them as they were.
    pub endpoints: Arc<[Arc<Endpoint>]>,
    /// Slot and key of each endpoint, side by side for tables that are indexed by them.
    pub places: Box<[(u32, u64)]>,
    /// By index of the [`Column`]; empty where nothing is known of any endpoint.
    columns: Box<[Box<[f32]>]>,
    /// A column of which nothing is known.
    unknown: Box<[f32]>,
    /// Tokens per KV-cache block, or per unit in which prefixes are matched, up to [`MAX_BLOCK_SIZE`]; 0 when unknown.
    /// Doesn't go stale: it is a property of the server.
    pub block_size: Box<[u32]>,
    /// The block size that most endpoints have, of several the largest; 0 when none is known.
    pub usual_block_size: u32,
    /// KV-cache blocks; 0 when unknown. Doesn't go stale.
    pub num_blocks: Box<[u32]>,
    /// Tokens that the KV cache keeps, with its tiers below the accelerator; 0 when unknown. Doesn't go stale.
    pub cache_tokens: Box<[u64]>,
    /// LoRA adapters, where known and fresh.
    pub lora: Box<[Option<Arc<LoraState>>]>,
    /// The models that servers list, where known and fresh.
    pub models: Box<[Option<Arc<Models>>]>,
    /// One more than the highest slot in use.
    pub slots: usize,
    /// Equal for views whose endpoints have the same labels in the same order.
    pub labels_hash: u64,
    /// The health of its endpoints, in sum.
    pub health: Arc<PoolHealth>,
    /// When it was built; `None` for [`View::empty`]. Tells which of two views is behind.
    pub built_at: Option<Instant>,
}

impl View {
    /// A view without endpoints.
    pub fn empty() -> Self {
        Self {
            endpoints: Arc::default(),
            places: Box::default(),
            columns: Box::default(),
            unknown: Box::default(),
            block_size: Box::default(),
            usual_block_size: 0,
            num_blocks: Box::default(),
            cache_tokens: Box::default(),
            lora: Box::default(),
            models: Box::default(),
            slots: 0,
            labels_hash: hash_of_labels(&[]),
            health: Arc::default(),
            built_at: None,
        }
    }

    /// Whether the endpoint at position `endpoint` gets requests as usual at `now`. Of no cost while no endpoint fails.
    pub fn is_healthy(&self, endpoint: usize, now: Instant) -> bool {
        !self.health.any() || self.endpoints[endpoint].health().status(now).phase == Phase::Healthy
    }

    /// A view of `rows`, the endpoints of one pool, at `now`. Readings older than `stale_after` count as unknown.
    pub fn build(mut rows: Vec<(Arc<Endpoint>, Reading)>, now: Instant, stale_after: Duration) -> Self {
        rows.sort_by(|a, b| a.0.id.cmp(&b.0.id));
        let fresh = |r: &Reading| r.at.is_some_and(|at| now.saturating_duration_since(at) <= stale_after);
        // One that can't be true is as good as none.
        let block_size =
            |r: &Reading| r.signals.block_size.filter(|size| *size <= MAX_BLOCK_SIZE).unwrap_or(0);
        let cache_tokens = |r: &Reading| {
            let blocks = || u64::from(r.signals.num_blocks.unwrap_or(0)) * u64::from(block_size(r));
            r.signals.cache_tokens.unwrap_or_else(blocks)
        };
        let cache_tokens = rows.iter().map(|(_, r)| cache_tokens(r)).collect();
        let block_size: Box<[u32]> = rows.iter().map(|(_, r)| block_size(r)).collect();
        Self {
            columns: columns(&rows, fresh),
            unknown: vec![f32::NAN; rows.len()].into(),
            usual_block_size: usual(&block_size),
            block_size,
            num_blocks: rows.iter().map(|(_, r)| r.signals.num_blocks.unwrap_or(0)).collect(),
            cache_tokens,
            lora: rows.iter().map(|(_, r)| r.signals.lora.clone().filter(|_| fresh(r))).collect(),
            models: rows.iter().map(|(_, r)| r.signals.models.clone().filter(|_| fresh(r))).collect(),
            slots: rows.iter().map(|(e, _)| e.slot as usize + 1).max().unwrap_or(0),
            places: rows.iter().map(|(e, _)| (e.slot, e.key)).collect(),
            labels_hash: hash_of_labels(&rows),
            health: rows.first().map_or_else(Arc::default, |(e, _)| e.health().pool().clone()),
            built_at: Some(now),
            endpoints: rows.into_iter().map(|(e, _)| e).collect(),
        }
    }

    /// The same with the list of endpoints of `before`, where it has the same ones: a watched response keeps the list of its
    /// decision, and so there is one for all decisions until the endpoints change.
    #[must_use]
    pub fn sharing_endpoints(mut self, before: &Self) -> Self {
        let same = |(a, b): (&Arc<Endpoint>, &Arc<Endpoint>)| Arc::ptr_eq(a, b);
        if self.len() == before.len() && self.endpoints.iter().zip(&*before.endpoints).all(same) {
            self.endpoints = before.endpoints.clone();
        }
        self
    }

    /// A column of numbers, NaN where the number is unknown or stale.
    #[inline]
    pub fn column(&self, column: Column) -> &[f32] {
        match self.columns.get(column.index()) {
            Some(known) if !known.is_empty() => known,
            _ => &self.unknown,
        }
    }

    /// Number of endpoints.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there is no endpoint.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }
}

/// The columns of numbers in `rows`, each as long as `rows` or, where nothing is known, empty.
fn columns(rows: &[(Arc<Endpoint>, Reading)], fresh: impl Fn(&Reading) -> bool) -> Box<[Box<[f32]>]> {
    let mut columns: Vec<Vec<f32>> = Vec::new();
    for (n, (_, reading)) in rows.iter().enumerate().filter(|(_, (_, reading))| fresh(reading)) {
        let Signals { waiting, running, kv_usage, others, .. } = &reading.signals;
        let known = [(Column::WAITING, *waiting), (Column::RUNNING, *running), (Column::KV_USAGE, *kv_usage)];
        let known = known.into_iter().filter_map(|(column, value)| Some((column, value?)));
        for (column, value) in known.chain(others.iter().copied()) {
            if columns.len() <= column.index() {
                columns.resize_with(column.index() + 1, Vec::new);
            }
            let column = &mut columns[column.index()];
            if column.is_empty() {
                column.resize(rows.len(), f32::NAN);
            }
            column[n] = value;
        }
    }
    columns.into_iter().map(Vec::into_boxed_slice).collect()
}

/// The most frequent of `sizes` that is not 0, of several the largest; 0 without any.
fn usual(sizes: &[u32]) -> u32 {
    let mut sorted: Vec<u32> = sizes.iter().copied().filter(|size| *size > 0).collect();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b);
    // The last of several maxima.
    runs.max_by_key(|run| run.len()).map_or(0, |run| run[0])
}

fn hash_of_labels(rows: &[(Arc<Endpoint>, Reading)]) -> u64 {
    let mut hasher = FxHasher::default();
    rows.iter().for_each(|(endpoint, _)| hasher.write_u64(endpoint.labels_hash));
    hasher.write_usize(rows.len());
    hasher.finish()
}
