//! The split of requests by weights, exact after any number of them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::State;

/// A count of requests, from which the part of the next one follows: an additive recurrence with the golden ratio (a Weyl
/// sequence), whose points lie as evenly as any. After n requests a part of weight w has n · w / total of them, to within a
/// few, in whatever order the weights stand and whenever one looks. It outlives changes of the rule.
#[derive(Debug, Default)]
pub struct Share(AtomicU64);

/// 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Share {
    /// A point in `0..total` for the next request.
    pub fn next(&self, total: u64) -> u64 {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        let point = n.wrapping_mul(STEP);
        // The upper half of the product is below `total`.
        ((u128::from(point) * u128::from(total)) >> 64) as u64
    }
}

impl State for Share {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn max_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// A number in the open interval (0, 1) for a hash.
pub(super) fn unit(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}
