//! What a decision may know of the outside: the time and a source of randomness.
//!
//! Nothing else in this crate reads a clock or draws a random number, so every test and every
//! simulation is repeatable from a seed.

use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The clock and the randomness of one decision.
#[derive(Debug)]
pub struct Cx {
    now: Instant,
    rng: SmallRng,
}

impl Cx {
    /// A context at `now` whose draws are determined by `seed`.
    pub fn new(now: Instant, seed: u64) -> Self {
        Self { now, rng: SmallRng::seed_from_u64(seed) }
    }

    /// A context for real traffic: the wall clock and a seed of the thread's generator.
    #[allow(clippy::disallowed_methods, reason = "the one place where a decision gets its time and its seed")]
    pub fn live() -> Self {
        Self::new(Instant::now(), rand::random())
    }

    /// The time at which the decision is made.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound < 2 { 0 } else { self.rng.random_range(0..bound) }
    }

    /// A number uniform in the open interval (0, 1).
    pub fn unit(&mut self) -> f64 {
        loop {
            let u: f64 = self.rng.random();
            if u > 0.0 {
                return u;
            }
        }
    }

    /// Puts `items` in a random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx(seed: u64) -> Cx {
        Cx::new(Instant::now(), seed)
    }

    #[test]
    fn equal_seeds_draw_equally() {
        let draw = |cx: &mut Cx| (cx.below(1000), cx.unit(), cx.below(7));
        assert_eq!(draw(&mut cx(7)), draw(&mut cx(7)));
        assert_ne!(draw(&mut cx(7)), draw(&mut cx(8)));
    }

    #[test]
    fn below_draws_each_number_about_as_often() {
        let (mut cx, mut counts) = (cx(1), [0_u32; 4]);
        for _ in 0..4000 {
            counts[cx.below(4)] += 1;
        }
        assert!(counts.iter().all(|c| (900..1100).contains(c)), "{counts:?}");
        assert_eq!((cx.below(0), cx.below(1)), (0, 0));
    }

    #[test]
    fn shuffle_draws_each_order_about_as_often() {
        let (mut cx, mut counts) = (cx(2), std::collections::BTreeMap::<[u8; 3], u32>::new());
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            cx.shuffle(&mut items);
            *counts.entry(items).or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|c| (900..1100).contains(c)), "{counts:?}");
    }
}
