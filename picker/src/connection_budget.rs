//! The memory of gateways' connections and their streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use picker_serve::memory::Budget;

use crate::pool::Limits;

/// Connections have this part of the budget of bodies in addition to it: where long bodies have taken that, streams are
/// opened all the same.
const OWN_DIVISOR: usize = 16;

/// A budget for connections: some bytes of their own, and then those that bodies have left.
#[derive(Debug)]
pub struct ConnectionBudget {
    limits: Arc<Limits>,
    own: AtomicUsize,
    /// What bodies have when nothing is held.
    shared: usize,
    /// What was taken of the bodies' budget.
    borrowed: AtomicUsize,
}

impl ConnectionBudget {
    /// The budget beside the one of bodies in `limits`, which has `bytes` when nothing is held.
    pub fn new(limits: Arc<Limits>, bytes: usize) -> Self {
        let shared = limits.budget.left();
        Self { limits, own: AtomicUsize::new(bytes / OWN_DIVISOR), shared, borrowed: AtomicUsize::new(0) }
    }
}

impl Budget for ConnectionBudget {
    fn take(&self, bytes: usize) -> bool {
        if self.own.fetch_update(Relaxed, Relaxed, |own| own.checked_sub(bytes)).is_ok() {
            return true;
        }
        let taken = self.limits.budget.take_other(bytes);
        if taken {
            self.borrowed.fetch_add(bytes, Relaxed);
        }
        taken
    }

    fn give(&self, bytes: usize) {
        // What was borrowed first.
        let less = |borrowed: usize| Some(borrowed.saturating_sub(bytes));
        let borrowed = self.borrowed.fetch_update(Relaxed, Relaxed, less).unwrap_or_default();
        let back = borrowed.min(bytes);
        self.limits.budget.give_other(back);
        self.own.fetch_add(bytes - back, Relaxed);
    }

    fn left(&self) -> usize {
        self.own.load(Relaxed) + self.limits.budget.left()
    }

    fn left_by_connections(&self) -> usize {
        self.own.load(Relaxed) + self.shared - self.borrowed.load(Relaxed).min(self.shared)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exchange::BodyBudget;

    #[test]
    fn connections_have_something_of_their_own_and_give_back_what_they_borrow() {
        let (body_timeout, budget) = (Duration::ZERO, BodyBudget::new(160));
        let limits = Arc::new(Limits {
            max_body: 1,
            refuse_longer: false,
            body_timeout,
            subset_filter: true,
            endpoint_scores: false,
            budget,
        });
        let connections = ConnectionBudget::new(limits.clone(), 160);
        assert_eq!((connections.left(), limits.budget.left()), (150, 140));
        assert_eq!([connections.take(8), connections.take(20), connections.take(130)], [true, true, false]);
        assert_eq!((connections.left(), limits.budget.left()), (122, 120));
        connections.give(15);
        assert_eq!((connections.left(), limits.budget.left()), (137, 135));
        connections.give(13);
        assert_eq!((connections.left(), limits.budget.left()), (150, 140));
        // Bodies that take all leave that, and the shares of peers as they are.
        assert!(limits.budget.take_other(140));
        assert_eq!((connections.left(), connections.left_by_connections()), (10, 150));
        assert_eq!([connections.take(10), connections.take(1)], [true, false]);
        assert_eq!((connections.left(), connections.left_by_connections()), (0, 140));
    }
}
