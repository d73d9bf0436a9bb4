//! The free blocks in the order in which they are handed out: a doubly linked list over block numbers, so that a cached
//! block can leave its middle in constant time when it is asked for again.

/// Index of a KV block.
pub(in crate::engine) type BlockId = u32;

#[derive(Clone, Copy, Debug)]
struct Links {
    previous: u32,
    next: u32,
}

/// Free blocks. The last entry of `links` is the list's head and tail.
#[derive(Debug)]
pub(super) struct FreeList {
    links: Vec<Links>,
    len: usize,
}

impl FreeList {
    /// Every block from 0 to `blocks`, in that order.
    pub fn full(blocks: u32) -> Self {
        let mut list =
            Self { links: vec![Links { previous: blocks, next: blocks }; blocks as usize + 1], len: 0 };
        for id in 0..blocks {
            list.push_back(id);
        }
        list
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Hands out last. The block must not be in the list.
    pub fn push_back(&mut self, id: BlockId) {
        let end = self.end();
        self.insert(id, self.links[end as usize].previous, end);
    }

    /// Hands out next. The block must not be in the list.
    pub fn push_front(&mut self, id: BlockId) {
        let end = self.end();
        self.insert(id, end, self.links[end as usize].next);
    }

    pub fn pop_front(&mut self) -> Option<BlockId> {
        let first = self.links[self.end() as usize].next;
        if first == self.end() {
            return None;
        }
        self.remove(first);
        Some(first)
    }

    /// Takes a block out. It must be in the list.
    pub fn remove(&mut self, id: BlockId) {
        let Links { previous, next } = self.links[id as usize];
        self.links[previous as usize].next = next;
        self.links[next as usize].previous = previous;
        self.len -= 1;
    }

    fn end(&self) -> u32 {
        self.links.len() as u32 - 1
    }

    fn insert(&mut self, id: BlockId, previous: u32, next: u32) {
        self.links[id as usize] = Links { previous, next };
        self.links[previous as usize].next = id;
        self.links[next as usize].previous = id;
        self.len += 1;
    }

    #[cfg(test)]
    pub fn to_vec(&self) -> Vec<BlockId> {
        let next = |id: u32| Some(self.links[id as usize].next).filter(|next| *next != self.end());
        std::iter::successors(next(self.end()), |id| next(*id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_order_through_every_operation() {
        let mut list = FreeList::full(5);
        assert_eq!(list.pop_front(), Some(0));
        list.remove(3);
        list.push_back(0);
        list.push_front(3);
        assert_eq!((list.to_vec(), list.len()), (vec![3, 1, 2, 4, 0], 5));
    }

    #[test]
    fn is_empty_after_its_last_block() {
        let mut list = FreeList::full(1);
        assert_eq!((list.pop_front(), list.pop_front(), list.len()), (Some(0), None, 0));
    }
}
