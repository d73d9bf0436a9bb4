//! Counts of values by size, with the bounds of their kind: a histogram that is a row of atomics and nothing else.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};

/// How many bounds a scale has.
const BOUNDS: usize = 15;

/// Bounds of the values of one kind, and the unit in which they are shown.
#[derive(Debug)]
pub struct Scale {
    /// Upper bounds, rising.
    bounds: [u64; BOUNDS],
    /// So much of a value is shown as 1.
    unit: f64,
}

/// Nanoseconds, shown as seconds.
const SECOND: f64 = 1e9;
const MICROS: u64 = 1_000;
const MILLIS: u64 = 1_000_000;
const SECONDS: u64 = 1_000 * MILLIS;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

impl Scale {
    /// Nanoseconds of whole requests.
    pub(super) const REQUEST: Self = Self::seconds([
        50 * MILLIS,
        100 * MILLIS,
        250 * MILLIS,
        500 * MILLIS,
        SECONDS,
        2_500 * MILLIS,
        5 * SECONDS,
        10 * SECONDS,
        20 * SECONDS,
        30 * SECONDS,
        60 * SECONDS,
        120 * SECONDS,
        300 * SECONDS,
        600 * SECONDS,
        1_800 * SECONDS,
    ]);
    /// Nanoseconds from a request to the first byte of its answer.
    pub(super) const FIRST: Self = Self::seconds([
        5 * MILLIS,
        10 * MILLIS,
        25 * MILLIS,
        50 * MILLIS,
        100 * MILLIS,
        200 * MILLIS,
        300 * MILLIS,
        500 * MILLIS,
        750 * MILLIS,
        SECONDS,
        2_500 * MILLIS,
        5 * SECONDS,
        10 * SECONDS,
        30 * SECONDS,
        60 * SECONDS,
    ]);
    /// Nanoseconds for a token.
    pub(super) const TOKEN: Self = Self::seconds([
        500 * MICROS,
        MILLIS,
        2_500 * MICROS,
        5 * MILLIS,
        10 * MILLIS,
        15 * MILLIS,
        20 * MILLIS,
        30 * MILLIS,
        40 * MILLIS,
        50 * MILLIS,
        75 * MILLIS,
        100 * MILLIS,
        200 * MILLIS,
        500 * MILLIS,
        SECONDS,
    ]);
    /// Numbers of tokens. 0 is apart: what was not cached, or not reasoned.
    pub(super) const TOKENS: Self = Self {
        bounds: [
            0, 16, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 1_048_576,
        ],
        unit: 1.0,
    };
    /// Bytes of bodies.
    pub(super) const BYTES: Self = Self {
        bounds: [
            256,
            KIB,
            2 * KIB,
            4 * KIB,
            8 * KIB,
            16 * KIB,
            32 * KIB,
            64 * KIB,
            128 * KIB,
            256 * KIB,
            512 * KIB,
            MIB,
            4 * MIB,
            16 * MIB,
            64 * MIB,
        ],
        unit: 1.0,
    };

    const fn seconds(bounds: [u64; BOUNDS]) -> Self {
        Self { bounds, unit: SECOND }
    }

    /// The bucket of `value`.
    fn bucket(&self, value: u64) -> usize {
        self.bounds.partition_point(|bound| *bound < value)
    }
}

/// How many values there were in each bucket, and their sum. Each belongs to one [`Scale`].
#[derive(Debug, Default)]
pub struct Distribution {
    /// The last is for what is above all bounds.
    buckets: [AtomicU64; BOUNDS + 1],
    /// Wraps around after 584 years, if it is nanoseconds.
    sum: AtomicU64,
}

impl Distribution {
    /// Counts one value of `scale`.
    pub(super) fn observe(&self, scale: &Scale, value: u64) {
        self.buckets[scale.bucket(value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was counted up to now.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { buckets: [0; BOUNDS + 1], sum: self.sum.load(Ordering::Relaxed) };
        counts
            .buckets
            .iter_mut()
            .zip(&self.buckets)
            .for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
        counts
    }
}

/// What a [`Distribution`] has counted, or several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    buckets: [u64; BOUNDS + 1],
    sum: u64,
}

impl Counts {
    /// How many values there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds those of `other`, which is of the same scale.
    pub(super) fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(to, from)| *to += from);
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Writes them as a histogram of `scale`.
    pub(super) fn encode(&self, scale: &Scale, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = scale.bounds.iter().map(|bound| *bound as f64 / scale.unit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.buckets).collect();
        encoder.encode_histogram::<NoLabelSet>(self.sum as f64 / scale.unit, self.count(), &buckets, None)
    }
}

/// Values of one scale that are counted by one owner, and put into a [`Distribution`] many at a time: atomics that all
/// processors share cost more than these.
#[derive(Debug, Default)]
pub struct Batch {
    buckets: [u8; BOUNDS + 1],
    count: u8,
    sum: u64,
}

/// So many values at most are kept in a [`Batch`].
const BATCH: u8 = 64;

impl Batch {
    /// Counts one value of `scale`. Whether it is time to put all into the distribution.
    pub(super) fn observe(&mut self, scale: &Scale, value: u64) -> bool {
        self.buckets[scale.bucket(value)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.count >= BATCH
    }

    /// Puts all into `distribution`.
    pub(super) fn empty_into(&mut self, distribution: &Distribution) {
        let Self { buckets, count, sum } = std::mem::take(self);
        if count == 0 {
            return;
        }
        for (to, from) in distribution.buckets.iter().zip(buckets).filter(|(_, from)| *from > 0) {
            to.fetch_add(from.into(), Ordering::Relaxed);
        }
        distribution.sum.fetch_add(sum, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCALES: [Scale; 5] = [Scale::REQUEST, Scale::FIRST, Scale::TOKEN, Scale::TOKENS, Scale::BYTES];

    #[test]
    fn bounds_rise_and_a_value_on_one_is_below_it() {
        for scale in SCALES {
            assert!(scale.bounds.is_sorted_by(|a, b| a < b), "{scale:?}");
            for (at, bound) in scale.bounds.iter().enumerate() {
                assert_eq!((scale.bucket(*bound), scale.bucket(bound + 1)), (at, at + 1), "{scale:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn batches_count_what_single_values_do(values in prop::collection::vec(0_u64..2_000_000_000, 0..300)) {
            let (one_by_one, batched, mut batch) = (Distribution::default(), Distribution::default(), Batch::default());
            for value in &values {
                one_by_one.observe(&Scale::TOKEN, *value);
                if batch.observe(&Scale::TOKEN, *value) {
                    batch.empty_into(&batched);
                }
            }
            batch.empty_into(&batched);
            let mut twice = batched.counts();
            prop_assert_eq!(&twice, &one_by_one.counts());
            prop_assert_eq!((twice.count(), twice.sum), (values.len() as u64, values.iter().sum::<u64>()));
            twice.add(&one_by_one.counts());
            prop_assert_eq!(twice.count(), 2 * values.len() as u64);
        }
    }
}
