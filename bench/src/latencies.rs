//! A histogram of latencies, to three digits.

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

/// A minute; what takes longer counts as that.
const LONGEST: u64 = 60_000_000_000;

/// Times, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    /// Never, with these bounds.
    pub fn none() -> Result<Self> {
        Histogram::new_with_bounds(1, LONGEST, 3).map(Self).context("bounds of a histogram")
    }

    /// Notes one.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LONGEST));
    }

    /// Notes those of `other` too.
    ///
    /// # Errors
    /// Never, as both have the same bounds.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("adding histograms")
    }

    /// How many were noted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time within which this share of them is, in microseconds.
    pub fn at(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e3
    }

    /// The longest, in microseconds.
    pub fn most(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_three_digits() {
        let (mut latencies, mut rest) = (Latencies::none().unwrap(), Latencies::none().unwrap());
        for micros in 1..=1000 {
            let which = if micros <= 600 { &mut latencies } else { &mut rest };
            which.record(Duration::from_micros(micros));
        }
        latencies.add(&rest).unwrap();
        assert_eq!(latencies.count(), 1000);
        for (share, micros) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let at = latencies.at(share);
            assert!((at / micros - 1.0).abs() < 0.001, "{share}: {at} for {micros}");
        }
        latencies.record(Duration::from_secs(3600));
        assert!((latencies.most() / 60e6 - 1.0).abs() < 0.001, "{}", latencies.most());
    }
}
