//! KV blocks: reference counts, the prefix cache, and the order of eviction.

mod free_list;

use rustc_hash::FxHashMap;

pub(super) use self::free_list::BlockId;
use self::free_list::FreeList;

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// How many sequences hold it.
    references: u32,
    /// What it caches, once it is full.
    hash: Option<u64>,
}

/// All KV blocks of an engine. A block is either referenced or in the free list; a free block with a hash is still found
/// by [`BlockPool::acquire_cached`] until it is handed out for something else.
#[derive(Debug)]
pub(super) struct BlockPool {
    blocks: Vec<Block>,
    free: FreeList,
    cached: FxHashMap<u64, BlockId>,
}

impl BlockPool {
    pub fn new(blocks: u32) -> Self {
        Self {
            blocks: vec![Block::default(); blocks as usize],
            free: FreeList::full(blocks),
            cached: FxHashMap::default(),
        }
    }

    /// Blocks that no sequence holds.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// How many of these hashes, from the first on and without a gap, are cached.
    pub fn cached(&self, hashes: &[u64]) -> u32 {
        hashes.iter().take_while(|hash| self.cached.contains_key(hash)).count() as u32
    }

    /// Takes the first `hits` cached blocks of `hashes` and then `fresh` empty ones, or nothing when memory lacks.
    pub fn acquire(&mut self, hashes: &[u64], hits: u32, fresh: u32) -> Option<Vec<BlockId>> {
        let hits: Vec<BlockId> =
            hashes[..hits as usize].iter().filter_map(|h| self.cached.get(h).copied()).collect();
        // A hit that nobody holds leaves the free list too.
        let revived = hits.iter().filter(|id| self.blocks[**id as usize].references == 0).count();
        if self.free.len() < revived + fresh as usize {
            return None;
        }
        let mut taken = hits;
        for &id in &taken {
            let block = &mut self.blocks[id as usize];
            if block.references == 0 {
                self.free.remove(id);
            }
            block.references += 1;
        }
        self.grow(&mut taken, fresh);
        Some(taken)
    }

    /// Appends `fresh` empty blocks to `taken`; false, and nothing appended, when memory lacks.
    pub fn grow(&mut self, taken: &mut Vec<BlockId>, fresh: u32) -> bool {
        if self.free.len() < fresh as usize {
            return false;
        }
        for _ in 0..fresh {
            let Some(id) = self.free.pop_front() else { return false };
            let block = &mut self.blocks[id as usize];
            block.references = 1;
            if let Some(hash) = block.hash.take() {
                self.cached.remove(&hash);
            }
            taken.push(id);
        }
        true
    }

    /// Makes a held block findable by `hash`. A second block with the same content stays unfindable.
    pub fn publish(&mut self, id: BlockId, hash: u64) {
        if let std::collections::hash_map::Entry::Vacant(entry) = self.cached.entry(hash) {
            entry.insert(id);
            self.blocks[id as usize].hash = Some(hash);
        }
    }

    /// Gives a sequence's blocks back. Its last block becomes the first to be evicted: the beginning of a prompt is
    /// likelier to be asked for again than its end.
    pub fn release(&mut self, held: &[BlockId]) {
        for &id in held.iter().rev() {
            let block = &mut self.blocks[id as usize];
            block.references -= 1;
            if block.references > 0 {
                continue;
            }
            if block.hash.is_some() {
                self.free.push_back(id);
            } else {
                self.free.push_front(id);
            }
        }
    }

    /// Panics unless every block is either in the free list or held exactly as often as `held` says, and the cache
    /// points at blocks that know it.
    #[cfg(test)]
    pub fn assert_consistent<'a>(&self, held: impl Iterator<Item = &'a [BlockId]>) {
        let mut expected = vec![0_u32; self.blocks.len()];
        for id in held.flatten() {
            expected[*id as usize] += 1;
        }
        let references: Vec<u32> = self.blocks.iter().map(|block| block.references).collect();
        assert_eq!(references, expected);
        let mut free = self.free.to_vec();
        free.sort_unstable();
        let unheld: Vec<BlockId> =
            (0..self.blocks.len() as u32).filter(|id| expected[*id as usize] == 0).collect();
        assert_eq!(free, unheld);
        let hashed = self.blocks.iter().filter(|block| block.hash.is_some()).count();
        assert_eq!(self.cached.len(), hashed);
        for (hash, id) in &self.cached {
            assert_eq!(self.blocks[*id as usize].hash, Some(*hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicts_the_least_recently_released_first_and_a_prompts_end_before_its_beginning() {
        let mut pool = BlockPool::new(4);
        let old = pool.acquire(&[], 0, 2).unwrap();
        pool.publish(old[0], 10);
        pool.publish(old[1], 11);
        let young = pool.acquire(&[], 0, 2).unwrap();
        pool.publish(young[0], 20);
        pool.publish(young[1], 21);
        pool.release(&old);
        pool.release(&young);
        assert_eq!((pool.cached(&[10, 11]), pool.cached(&[20, 21])), (2, 2));

        let first = pool.acquire(&[], 0, 1).unwrap();
        assert_eq!((pool.cached(&[10, 11]), pool.cached(&[20, 21])), (1, 2));
        let second = pool.acquire(&[], 0, 2).unwrap();
        assert_eq!((pool.cached(&[10, 11]), pool.cached(&[20, 21])), (0, 1));
        pool.assert_consistent([&first[..], &second[..]].into_iter());
    }

    #[test]
    fn shares_a_cached_block_and_frees_it_with_its_last_holder() {
        let mut pool = BlockPool::new(3);
        let one = pool.acquire(&[], 0, 1).unwrap();
        pool.publish(one[0], 5);
        let two = pool.acquire(&[5, 6], 1, 1).unwrap();
        assert_eq!((two[0], pool.free()), (one[0], 1));
        pool.release(&one);
        assert_eq!(pool.free(), 1);
        pool.release(&two);
        assert_eq!((pool.free(), pool.cached(&[5])), (3, 1));
    }

    #[test]
    fn takes_nothing_when_memory_lacks() {
        let mut pool = BlockPool::new(2);
        let one = pool.acquire(&[], 0, 1).unwrap();
        pool.publish(one[0], 5);
        pool.release(&one);
        // The hit is one of the two free blocks, so only one more is left.
        assert_eq!(pool.acquire(&[5], 1, 2), None);
        assert_eq!((pool.free(), pool.cached(&[5])), (2, 1));
    }
}
