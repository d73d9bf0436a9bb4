//! The memory that the tables of all indexes of a picker share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::store::State;

/// The most memory that the tables of all indexes take: a quarter of what a picker's pod has by default. When
/// they come near it, new ones get smaller.
pub const MAX_BYTES: usize = 256 << 20;

/// A number of bytes, and how many of them are taken.
#[derive(Debug)]
pub struct Memory {
    max: usize,
    taken: AtomicUsize,
    /// How many indexes share it.
    indexes: AtomicUsize,
}

impl Default for Memory {
    /// [`MAX_BYTES`].
    fn default() -> Self {
        Self::new(MAX_BYTES)
    }
}

impl Memory {
    /// So many bytes.
    pub fn new(max: usize) -> Self {
        Self { max, taken: AtomicUsize::new(0), indexes: AtomicUsize::new(0) }
    }

    /// How many bytes there are.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// How many bytes are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn free(&self) -> usize {
        self.max.saturating_sub(self.taken())
    }

    /// One more index, until [`Memory::leave`].
    pub(super) fn join(&self) {
        self.indexes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.indexes.fetch_sub(1, Ordering::Relaxed);
    }

    /// What one of `endpoints` without a table may take of `free` bytes in one index, so that there is the same
    /// for the others in all indexes, and a third as much again for those that come later.
    pub(super) fn share(&self, free: usize, endpoints: usize) -> usize {
        free / self.indexes.load(Ordering::Relaxed).max(1) / endpoints.max(1) / 4 * 3
    }

    /// Grants `wanted` bytes, or what is there. `soon` bytes more are there: somebody is about to give them back.
    pub(super) fn grant(self: &Arc<Self>, wanted: usize, soon: usize) -> Grant {
        let max = self.max.saturating_add(soon);
        let mut bytes = 0;
        let _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            bytes = wanted.min(max.saturating_sub(taken));
            Some(taken + bytes)
        });
        Grant { memory: self.clone(), bytes }
    }
}

/// It counts the memory of others.
impl State for Memory {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn max_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Bytes that are taken until this is dropped.
#[derive(Debug)]
pub(super) struct Grant {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Grant {
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.memory.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_comes_back() {
        let memory = Arc::new(Memory::new(100));
        let grants = [(60, 0), (60, 0), (1, 0), (10, 5)].map(|(wanted, soon)| memory.grant(wanted, soon));
        assert_eq!(grants.each_ref().map(Grant::bytes), [60, 40, 0, 5]);
        assert_eq!((memory.taken(), memory.free()), (105, 0));
        let [first, ..] = grants;
        drop(first);
        assert_eq!((memory.taken(), memory.free()), (45, 55));
    }
}
