//! The memory that bodies take while their requests wait for a decision.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all exchanges share.
#[derive(Debug)]
pub struct Budget {
    free: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { free: AtomicUsize::new(bytes) }
    }

    /// A share that has nothing yet.
    pub(super) fn share(&self) -> Share<'_> {
        Share { budget: self, bytes: 0 }
    }
}

/// What one exchange holds. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Share<'_> {
    /// Takes so many more bytes, or none and returns false when there are not enough.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let less = |free: usize| free.checked_sub(bytes);
        let taken = self.budget.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_once() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert_eq!([one.take(4), one.take(3), two.take(4), two.take(3)], [true, true, false, true]);
        assert!(!one.take(1));
        drop(one);
        assert_eq!([two.take(8), two.take(7)], [false, true]);
        drop(two);
        assert_eq!(budget.free.into_inner(), 10);
    }
}
