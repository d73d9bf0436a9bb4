//! Stray errors: errors of servers that turned out to be the fault of requests.

use std::sync::atomic::{AtomicU64, Ordering};

use super::state::Tick;

/// The time in milliseconds in which half of them are forgotten.
const HALF_LIFE: Tick = 20_000;

/// A number of stray errors that halves every 20 s. The number is in the lowest 16 bits, the time from which the next
/// half-life counts above.
#[derive(Debug, Default)]
pub(super) struct Strays(AtomicU64);

const NUMBER: u64 = (1 << 16) - 1;

impl Strays {
    /// How many there are at `now`.
    pub fn number(&self, now: Tick) -> u32 {
        decayed(self.0.load(Ordering::Relaxed), now).0 as u32
    }

    /// Adds `more` at `now`.
    pub fn add(&self, more: u8, now: Tick) {
        let added = |word| {
            let (number, since) = decayed(word, now);
            Some((number + u64::from(more)).min(NUMBER) | since << 16)
        };
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }
}

/// The number in `word` at `now`, and since when it has been that.
fn decayed(word: u64, now: Tick) -> (u64, Tick) {
    let (number, since) = (word & NUMBER, word >> 16);
    let times = now.saturating_sub(since) / HALF_LIFE;
    let left = number.checked_shr(u32::try_from(times).unwrap_or(u32::MAX)).unwrap_or(0);
    (left, if left == 0 { now } else { since + times * HALF_LIFE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_are_forgotten_in_each_half_life_however_often_some_are_added() {
        let strays = Strays::default();
        strays.add(8, 1_000);
        let numbers =
            [1_000, 20_999, 21_000, 41_000, 61_000, 81_000, 3_000_000].map(|now| strays.number(now));
        assert_eq!(numbers, [8, 8, 4, 2, 1, 0, 0]);
        (0..19).for_each(|second| strays.add(1, 2_000 + second * 1_000));
        assert_eq!([strays.number(20_999), strays.number(21_000)], [27, 13]);
        strays.add(1, 3_000_000);
        assert_eq!([strays.number(3_019_999), strays.number(3_020_000)], [1, 0]);
        (0..1_000).for_each(|_| strays.add(255, 4_000_000));
        assert_eq!(strays.number(4_000_000), 65_535);
    }
}
