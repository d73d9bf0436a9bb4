//! The memory that requests take while they wait for their bodies and a decision.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests of up to this many bytes may take what is kept for small ones: hardly a prompt is longer.
const SMALL: usize = 256 << 10;
/// One part in this many of a budget is kept for small requests.
const KEPT_DIVISOR: usize = 8;
/// Headers take one part in this many of a budget at most.
const HEADS_DIVISOR: usize = 4;
/// Of what is not kept, one part in this many stays free of room that is taken ahead of the bytes.
const SPARE_DIVISOR: usize = 2;

/// Bytes that all exchanges share. An eighth of them is kept for small requests, so that a few long uploads
/// that get stuck refuse nobody but each other; and headers take a quarter at most, so that those whose bodies never come
/// leave room for bodies.
#[derive(Debug)]
pub struct BodyBudget {
    common: AtomicUsize,
    kept: AtomicUsize,
    /// How much more of both headers may take.
    heads: AtomicUsize,
    spare: usize,
}

impl BodyBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let kept = bytes / KEPT_DIVISOR;
        Self {
            common: AtomicUsize::new(bytes - kept),
            spare: (bytes - kept) / SPARE_DIVISOR,
            kept: AtomicUsize::new(kept),
            heads: AtomicUsize::new(bytes / HEADS_DIVISOR),
        }
    }

    /// What is left for others than small requests.
    pub(crate) fn left(&self) -> usize {
        self.common.load(Ordering::Relaxed)
    }

    /// Takes so many bytes for something else than a request, or none and returns false.
    pub(crate) fn take_other(&self, bytes: usize) -> bool {
        take(&self.common, bytes, 0)
    }

    /// Gives back what was taken so.
    pub(crate) fn give_other(&self, bytes: usize) {
        self.common.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A share that has nothing yet.
    pub fn share(&self) -> BodyShare<'_> {
        BodyShare { budget: self, common: 0, kept: 0, heads: 0 }
    }
}

/// What one exchange holds. It is given back when this is dropped.
#[derive(Debug)]
pub struct BodyShare<'a> {
    budget: &'a BodyBudget,
    common: usize,
    /// Small: there are as many of these as there are requests that wait.
    kept: u32,
    heads: u32,
}

impl BodyShare<'_> {
    /// The bytes that it has.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.common + self.kept as usize
    }

    /// Takes so many bytes for headers, or none and returns false when there are not enough.
    pub fn take_head(&mut self, bytes: usize) -> bool {
        let Some(heads) = u32::try_from(bytes).ok().and_then(|bytes| self.heads.checked_add(bytes)) else {
            return false;
        };
        if !take(&self.budget.heads, bytes, 0) {
            return false;
        }
        // Given back with the rest, whether there is room or not.
        self.heads = heads;
        self.take(bytes)
    }

    /// Takes so many more bytes for what may come, or none and returns false when half of the budget is taken:
    /// lengths that clients make up crowd out no bytes.
    pub fn take_ahead(&mut self, bytes: usize) -> bool {
        let taken = take(&self.budget.common, bytes, self.budget.spare);
        self.common += if taken { bytes } else { 0 };
        taken
    }

    /// Takes so many more bytes, or none and returns false when there are not enough.
    pub fn take(&mut self, bytes: usize) -> bool {
        if take(&self.budget.common, bytes, 0) {
            self.common += bytes;
            return true;
        }
        let kept = self.kept as usize + bytes;
        let taken = self.common + kept <= SMALL && take(&self.budget.kept, bytes, 0);
        if taken {
            self.kept = kept as u32;
        }
        taken
    }
}

/// Takes `bytes` of those that are free if `spare` of them are left.
fn take(free: &AtomicUsize, bytes: usize, spare: usize) -> bool {
    let less = |free: usize| free.checked_sub(bytes).filter(|left| *left >= spare);
    free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

impl Drop for BodyShare<'_> {
    fn drop(&mut self) {
        self.budget.common.fetch_add(self.common, Ordering::Relaxed);
        self.budget.kept.fetch_add(self.kept as usize, Ordering::Relaxed);
        self.budget.heads.fetch_add(self.heads as usize, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_once() {
        let budget = BodyBudget::new(16);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert_eq!([one.take(8), one.take(5), two.take(4), two.take(1)], [true, true, false, true]);
        // What is kept for small bodies.
        assert_eq!([one.take(2), two.take(1)], [true, false]);
        drop(one);
        assert_eq!([two.take(14), two.take(13), two.take(2)], [false, true, true]);
        drop(two);
        assert_eq!([budget.common.into_inner(), budget.kept.into_inner()], [14, 2]);
    }

    #[test]
    fn headers_leave_room_for_bodies() {
        let budget = BodyBudget::new(800);
        let (mut one, mut two, mut three) = (budget.share(), budget.share(), budget.share());
        assert_eq!([one.take_head(150), two.take_head(51), two.take_head(50)], [true, false, true]);
        assert_eq!(
            [three.take(501), three.take(500), three.take(100), three.take(1)],
            [false, true, true, false]
        );
        drop(one);
        // As much as they may, and no room.
        assert_eq!([three.take(150), two.take_head(1)], [true, false]);
        drop(two);
        drop(three);
        let budget = [budget.common, budget.kept, budget.heads].map(AtomicUsize::into_inner);
        assert_eq!(budget, [700, 100, 200]);
    }

    #[test]
    fn what_is_taken_ahead_leaves_half_for_what_is_there() {
        let budget = BodyBudget::new(16);
        let (mut one, mut two) = (budget.share(), budget.share());
        assert_eq!([one.take_ahead(8), one.take_ahead(7), one.take_ahead(1)], [false, true, false]);
        assert_eq!([two.take(5), two.take_ahead(1), two.take(2)], [true, false, true]);
        drop(one);
        assert_eq!([two.take_ahead(1), two.take(7)], [false, true]);
        drop(two);
        assert_eq!([budget.common.into_inner(), budget.kept.into_inner()], [14, 2]);
    }

    #[test]
    fn long_bodies_leave_room_for_small_ones() {
        let budget = BodyBudget::new(16 * SMALL);
        let (mut long, mut longer) = (budget.share(), budget.share());
        assert_eq!([long.take(14 * SMALL), longer.take(SMALL + 1)], [true, false]);
        let (mut one, mut two, mut three) = (budget.share(), budget.share(), budget.share());
        assert_eq!([one.take(SMALL - 1), one.take(1), one.take(1)], [true, true, false]);
        // There is an end to that, too.
        assert_eq!([two.take(SMALL), three.take(1)], [true, false]);
    }
}
