//! What each endpoint is believed to have in its prefix cache, learnt from what was sent to it.
//!
//! For every endpoint there is a table of block hashes (`index/table.rs`); the tables are found by the
//! endpoint's slot. Lookups and insertions take no lock: a table is an array of atomics, and the array
//! of tables is replaced whole when an endpoint is used for the first time, which is rare.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::endpoint::{Endpoint, MAX_SLOTS};
use crate::store::State;
use crate::view::{Candidates, View};

pub mod chain;
mod memory;
mod table;

#[cfg(test)]
mod tests;

pub use memory::{MAX_BYTES, Memory};
pub use table::MAX_CAPACITY;
use table::{LINE, Table};

/// A table that got less than it wanted, because others had the memory, is made anew when it could be so many
/// times as large. What it knew is forgotten, which is a small part of what it can know then.
const GROWTH: usize = 4;

/// Prefix tables of all endpoints.
#[derive(Debug)]
pub struct PrefixIndex {
    directory: ArcSwap<Directory>,
    memory: Arc<Memory>,
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

/// Whether `table` got little, and could be much larger now.
fn grows(table: &Table, view: &View, memory: &Memory) -> bool {
    table.is_short() && memory.share(memory.free(), view.len()) >= GROWTH * table.bytes().max(LINE)
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
    fn tidied(&self, view: &View, endpoint: &Endpoint, capacity: u32, memory: &Arc<Memory>) -> Self {
        let mut by_slot = self.by_slot.to_vec();
        by_slot.resize(by_slot.len().max(view.slots.min(MAX_SLOTS)), None);
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
        let without = match place {
            Some(e) if e.key > endpoint.key => None,
            Some(e) if e.key == endpoint.key => grows(&e.table, view, memory).then_some(view.len()),
            _ => Some(view.len().saturating_sub(used(&by_slot))),
        };
        if let Some(without) = without {
            // Tables that are left out here are given back when this takes the old one's place.
            let soon = self.bytes - bytes(&by_slot);
            let share = memory.share(memory.free() + soon, without);
            let table = Table::new(capacity, |wanted| memory.grant(wanted.min(share / LINE * LINE), soon));
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

impl State for PrefixIndex {
    fn bytes(&self) -> usize {
        let directory = self.directory.load();
        directory.bytes + size_of_val(&*directory.by_slot)
    }

    /// The tables of all indexes together come to no more than this one could alone.
    fn max_bytes(&self) -> usize {
        self.memory.max() + MAX_SLOTS * size_of::<Option<Entry>>()
    }
}

impl Drop for PrefixIndex {
    fn drop(&mut self) {
        self.memory.leave();
    }
}

impl PrefixIndex {
    /// An empty index whose tables take what there is of `memory`.
    pub fn new(memory: Arc<Memory>) -> Self {
        memory.join();
        Self { directory: ArcSwap::default(), memory }
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
        if endpoint.slot as usize >= MAX_SLOTS {
            return;
        }
        let mut directory = self.directory.load();
        let table = directory.get(endpoint.slot, endpoint.key);
        if table.is_none_or(|table| grows(table, view, &self.memory)) || directory.untidy(view) {
            self.directory.rcu(|old| Arc::new(old.tidied(view, endpoint, capacity, &self.memory)));
            directory = self.directory.load();
        }
        if let Some(table) = directory.get(endpoint.slot, endpoint.key) {
            table.insert(capacity, hashes);
        }
    }
}
