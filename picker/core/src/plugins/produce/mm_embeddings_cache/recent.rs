//! The items that one server got last.

use std::collections::{BTreeMap, HashMap};

/// A set of hashes of a fixed size, from which the one goes that was added longest ago.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// The number of each one's last addition. With a key that clients don't know: they choose the hashes.
    last: HashMap<u64, u64>,
    /// The other way round, so that the oldest is the first.
    order: BTreeMap<u64, u64>,
    additions: u64,
}

impl Recent {
    /// Whether `item` is there.
    pub fn has(&self, item: u64) -> bool {
        self.last.contains_key(&item)
    }

    /// Adds `item`, or makes it the newest, and lets go what is too much for `capacity`.
    pub fn add(&mut self, item: u64, capacity: usize) {
        self.additions += 1;
        if let Some(before) = self.last.insert(item, self.additions) {
            self.order.remove(&before);
        }
        self.order.insert(self.additions, item);
        self.shrink(capacity);
    }

    /// Lets go what is too much for `capacity`, the oldest first.
    pub fn shrink(&mut self, capacity: usize) {
        while self.order.len() > capacity {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.last.remove(&oldest);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a list that is searched.
        #[test]
        fn the_one_that_was_added_longest_ago_goes(items in prop::collection::vec(0..12_u64, 0..200), capacity in 1..10_usize) {
            let (mut recent, mut list) = (Recent::default(), Vec::new());
            for item in items {
                recent.add(item, capacity);
                list.retain(|other| *other != item);
                list.push(item);
                if list.len() > capacity {
                    list.remove(0);
                }
                let known: Vec<_> = (0..12).filter(|item| recent.has(*item)).collect();
                let mut expected = list.clone();
                expected.sort_unstable();
                prop_assert_eq!((known, recent.len(), recent.last.len()), (expected, list.len(), list.len()));
            }
        }
    }
}
