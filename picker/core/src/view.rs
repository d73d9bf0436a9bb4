//! One consistent picture of all endpoints, as columns: what filters and scorers read.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHasher;
use smallvec::SmallVec;

use crate::endpoint::Endpoint;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

/// The largest number of tokens per KV-cache block that is believed. Most engines have 16 to 256; with models
/// that are only partly transformers vLLM comes to several thousand.
pub const MAX_BLOCK_SIZE: u32 = 16 << 10;

/// What one scrape of a model server said. `None` means that the server did not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// Requests waiting in the server's queue.
    pub waiting: Option<f32>,
    /// Requests being computed.
    pub running: Option<f32>,
    /// Share of the KV cache in use, 0 to 1.
    pub kv_usage: Option<f32>,
    /// Tokens per KV-cache block.
    pub block_size: Option<u32>,
    /// KV-cache blocks on the accelerator.
    pub num_blocks: Option<u32>,
    /// LoRA adapters.
    pub lora: Option<Arc<LoraState>>,
}

/// LoRA adapters of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoraState {
    /// Adapters that fit at once.
    pub max: u32,
    /// Adapters being used by running requests.
    pub running: Vec<Box<str>>,
    /// Adapters that waiting requests ask for.
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

/// Immutable snapshot of all endpoints. A number that is unknown or stale is NaN in its column: never
/// full and never empty. All columns have the length of `endpoints`.
#[derive(Debug)]
pub struct View {
    /// The endpoints, ordered by id.
    pub endpoints: Box<[Arc<Endpoint>]>,
    /// Slot and key of each endpoint, side by side for tables that are indexed by them.
    pub places: Box<[(u32, u64)]>,
    /// Requests waiting.
    pub waiting: Box<[f32]>,
    /// Requests running.
    pub running: Box<[f32]>,
    /// Share of the KV cache in use, 0 to 1.
    pub kv_usage: Box<[f32]>,
    /// Tokens per KV-cache block, up to [`MAX_BLOCK_SIZE`]; 0 when unknown. Doesn't go stale: it is a property of the server.
    pub block_size: Box<[u32]>,
    /// The block size that most endpoints have, of several the largest; 0 when none is known.
    pub usual_block_size: u32,
    /// KV-cache blocks; 0 when unknown. Doesn't go stale.
    pub num_blocks: Box<[u32]>,
    /// LoRA adapters, where known and fresh.
    pub lora: Box<[Option<Arc<LoraState>>]>,
    /// One more than the highest slot in use.
    pub slots: usize,
    /// Equal for views whose endpoints have the same labels in the same order.
    pub labels_hash: u64,
    /// When it was built; `None` for [`View::empty`]. Tells which of two views is behind.
    pub built_at: Option<Instant>,
}

impl View {
    /// A view without endpoints.
    pub fn empty() -> Self {
        Self {
            endpoints: Box::default(),
            places: Box::default(),
            waiting: Box::default(),
            running: Box::default(),
            kv_usage: Box::default(),
            block_size: Box::default(),
            usual_block_size: 0,
            num_blocks: Box::default(),
            lora: Box::default(),
            slots: 0,
            labels_hash: hash_of_labels(&[]),
            built_at: None,
        }
    }

    /// A view of `rows` at `now`. Readings older than `stale_after` count as unknown.
    pub fn build(mut rows: Vec<(Arc<Endpoint>, Reading)>, now: Instant, stale_after: Duration) -> Self {
        rows.sort_by(|a, b| a.0.id.cmp(&b.0.id));
        let fresh = |r: &Reading| r.at.is_some_and(|at| now.saturating_duration_since(at) <= stale_after);
        let number = |pick: fn(&Signals) -> Option<f32>| -> Box<[f32]> {
            rows.iter()
                .map(|(_, r)| if fresh(r) { pick(&r.signals).unwrap_or(f32::NAN) } else { f32::NAN })
                .collect()
        };
        // One that can't be true is as good as none.
        let block_size =
            |r: &Reading| r.signals.block_size.filter(|size| *size <= MAX_BLOCK_SIZE).unwrap_or(0);
        let block_size: Box<[u32]> = rows.iter().map(|(_, r)| block_size(r)).collect();
        Self {
            waiting: number(|s| s.waiting),
            running: number(|s| s.running),
            kv_usage: number(|s| s.kv_usage),
            usual_block_size: usual(&block_size),
            block_size,
            num_blocks: rows.iter().map(|(_, r)| r.signals.num_blocks.unwrap_or(0)).collect(),
            lora: rows.iter().map(|(_, r)| r.signals.lora.clone().filter(|_| fresh(r))).collect(),
            slots: rows.iter().map(|(e, _)| e.slot as usize + 1).max().unwrap_or(0),
            places: rows.iter().map(|(e, _)| (e.slot, e.key)).collect(),
            labels_hash: hash_of_labels(&rows),
            built_at: Some(now),
            endpoints: rows.into_iter().map(|(e, _)| e).collect(),
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

/// An address as gateways and tests write it: `ip` (any port) or `ip:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    ip: IpAddr,
    port: Option<u16>,
}

impl Address {
    /// Reads `ip`, `ip:port`, `[ip]` or `[ip]:port`; `None` when it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(full) = text.parse::<SocketAddr>() {
            return Some(Self { ip: full.ip(), port: Some(full.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        bare.parse().ok().map(|ip| Self { ip, port: None })
    }

    /// Whether this names `address`.
    pub fn names(&self, address: SocketAddr) -> bool {
        self.ip == address.ip() && self.port.is_none_or(|port| port == address.port())
    }
}

/// The endpoints still in the running, as positions in a [`View`], in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates(Vec<u32>);

impl Candidates {
    /// All endpoints of `view`, or those that `subset` names.
    pub fn of(view: &View, subset: Option<&[Address]>) -> Self {
        let mut candidates = Self::default();
        candidates.reset(view, subset);
        candidates
    }

    /// The same, in the memory that is already there.
    pub fn reset(&mut self, view: &View, subset: Option<&[Address]>) {
        self.0.clear();
        let all = 0..view.len() as u32;
        match subset {
            None => self.0.extend(all),
            Some(subset) => {
                // However long it is, each endpoint costs little.
                let mut subset: SmallVec<[Address; 16]> = subset.into();
                subset.sort_unstable();
                let named = |ip, port| subset.binary_search(&Address { ip, port }).is_ok();
                self.0.extend(all.filter(|&i| {
                    let address = view.endpoints[i as usize].address;
                    named(address.ip(), None) || named(address.ip(), Some(address.port()))
                }));
            }
        }
    }

    /// Becomes equal to `other`, in the memory that is already there.
    pub fn copy_from(&mut self, other: &Self) {
        self.0.clear();
        self.0.extend_from_slice(&other.0);
    }

    /// Keeps those for which `keep` says true, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        self.0.retain(|i| keep(*i as usize));
    }

    /// Puts those first for which `key` is smallest, equal ones in the order of the view.
    pub fn sort_by_key<K: Ord>(&mut self, mut key: impl FnMut(usize) -> K) {
        self.0.sort_unstable_by_key(|i| (key(*i as usize), *i));
    }

    /// The positions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.0.iter().map(|&i| i as usize)
    }

    /// Position in the view of the `n`-th candidate.
    pub fn at(&self, n: usize) -> usize {
        self.0[n] as usize
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
