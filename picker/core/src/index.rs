//! What each endpoint is believed to have in its prefix cache, learnt from what was sent to it.
//!
//! For every endpoint there is a table of block hashes (`index/table.rs`); the tables are found by the
//! endpoint's slot. Lookups and insertions take no lock: a table is an array of atomics, and the array
//! of tables is replaced whole when an endpoint is used for the first time, which is rare.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::endpoint::Endpoint;
use crate::view::{Candidates, View};

pub mod chain;
mod table;

#[cfg(test)]
mod tests;

use table::Table;

/// The most memory that the tables of one index take: a quarter of what a picker's pod has by default. When
/// they come near it, new ones get smaller.
pub const MAX_BYTES: usize = 256 << 20;

/// The most blocks that one endpoint is believed to keep: 64 M tokens, in 12 MiB.
pub const MAX_CAPACITY: u32 = 1 << 20;

/// Prefix tables of all endpoints.
#[derive(Debug)]
pub struct PrefixIndex {
    directory: ArcSwap<Directory>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Directory {
    by_slot: Box<[Option<Entry>]>,
    used: usize,
    bytes: usize,
    /// When the newest view was built of which it has been tidied.
    tidied: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Key of the endpoint. Another in the same slot starts with nothing.
    key: u64,
    table: Table,
}

impl Directory {
    fn get(&self, slot: u32, key: u64) -> Option<&Table> {
        self.by_slot.get(slot as usize)?.as_ref().filter(|e| e.key == key).map(|e| &e.table)
    }

    /// Whether it may have tables of endpoints that `view` knows to be gone.
    fn untidy(&self, view: &View) -> bool {
        self.used > view.len() && view.built_at >= self.tidied
    }

    /// The same with a table for `endpoint`, which keeps `capacity` blocks, and without those of
    /// endpoints that are not in `view`, unless it is behind.
    fn tidied(&self, view: &View, endpoint: &Endpoint, capacity: u32, max_bytes: usize) -> Self {
        let mut by_slot = self.by_slot.to_vec();
        by_slot.resize(by_slot.len().max(view.slots), None);
        if view.built_at >= self.tidied {
            let mut living = vec![None; by_slot.len()];
            for e in view.endpoints.iter().filter(|e| self.get(e.slot, e.key).is_some()) {
                living[e.slot as usize] = by_slot[e.slot as usize].take();
            }
            by_slot = living;
        }
        let bytes = |by_slot: &[Option<Entry>]| by_slot.iter().flatten().map(|e| e.table.bytes()).sum();
        let used = |by_slot: &[Option<Entry>]| by_slot.iter().flatten().count();
        let place = &by_slot[endpoint.slot as usize];
        // A request that was decided before the slot changed hands must not take it back.
        if place.as_ref().is_none_or(|e| e.key < endpoint.key) {
            // To each endpoint without a table the same, and as much again to those that come later.
            let without = view.len().saturating_sub(used(&by_slot)).max(1);
            let free = max_bytes.saturating_sub(bytes(&by_slot));
            let table = Table::new(capacity, free / without / 2);
            by_slot[endpoint.slot as usize] = Some(Entry { key: endpoint.key, table });
        }
        Self {
            used: used(&by_slot),
            bytes: bytes(&by_slot),
            tidied: self.tidied.max(view.built_at),
            by_slot: by_slot.into(),
        }
    }
}

impl PrefixIndex {
    /// An empty index whose tables take at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { directory: ArcSwap::default(), max_bytes }
    }

    /// Memory of all tables, in bytes.
    pub fn bytes(&self) -> usize {
        self.directory.load().bytes
    }

    /// Writes into `matched`, for each of `candidates` at its position in `view`, how many of the blocks
    /// `hashes` it has without a gap from the first on. Leaves `matched` empty when there is nothing to
    /// compare.
    pub fn matches(&self, hashes: &[u64], view: &View, candidates: &Candidates, matched: &mut Vec<u32>) {
        matched.clear();
        let directory = self.directory.load();
        if hashes.is_empty() || directory.used == 0 {
            return;
        }
        matched.resize(view.len(), 0);
        // Endpoints often share the same beginning, for example a system prompt.
        let mut guess = 1;
        for i in candidates.iter() {
            let (slot, key) = view.places[i];
            let Some(table) = directory.get(slot, key) else { continue };
            let depth = table.depth(hashes, guess);
            if depth > 0 {
                matched[i] = depth as u32;
                guess = depth;
            }
        }
    }

    /// Remembers that the endpoint at position `chosen` of `view`, which keeps `capacity` blocks, has
    /// used the blocks `hashes`, a chain from its first block on.
    pub fn insert(&self, view: &View, chosen: usize, capacity: u32, hashes: &[u64]) {
        if hashes.is_empty() {
            return;
        }
        let endpoint = &view.endpoints[chosen];
        let mut directory = self.directory.load();
        if directory.get(endpoint.slot, endpoint.key).is_none() || directory.untidy(view) {
            self.directory.rcu(|old| Arc::new(old.tidied(view, endpoint, capacity, self.max_bytes)));
            directory = self.directory.load();
        }
        if let Some(table) = directory.get(endpoint.slot, endpoint.key) {
            table.insert(capacity, hashes);
        }
    }
}
