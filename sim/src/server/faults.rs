//! Failures on purpose.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Shares of the requests, each 0 to 1, to which something happens. One request suffers at most one of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultConfig {
    /// Answered with `fail_status`.
    pub fail_rate: f64,
    /// The status of failing requests, 400 to 599.
    pub fail_status: u16,
    /// Never answered.
    pub hang_rate: f64,
    /// Cut off in the middle of the answer by closing the connection.
    pub drop_rate: f64,
}

impl Default for FaultConfig {
    fn default() -> Self {
        Self { fail_rate: 0.0, fail_status: 500, hang_rate: 0.0, drop_rate: 0.0 }
    }
}

impl FaultConfig {
    /// # Errors
    /// The field that is out of range, and what it takes.
    pub fn validate(&self) -> Result<(), String> {
        for (field, rate) in
            [("fail_rate", self.fail_rate), ("hang_rate", self.hang_rate), ("drop_rate", self.drop_rate)]
        {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("{field} must be between 0 and 1, not {rate}"));
            }
        }
        if self.fail_rate + self.hang_rate + self.drop_rate > 1.0 {
            return Err("fail_rate, hang_rate and drop_rate together must not exceed 1".to_owned());
        }
        if !(400..=599).contains(&self.fail_status) {
            return Err(format!("fail_status must be between 400 and 599, not {}", self.fail_status));
        }
        Ok(())
    }

    /// What happens to a request whose lot, 0 to 1, is this.
    fn of(&self, lot: f64) -> Option<Fault> {
        if lot < self.fail_rate {
            Some(Fault::Fail(self.fail_status))
        } else if lot < self.fail_rate + self.hang_rate {
            Some(Fault::Hang)
        } else if lot < self.fail_rate + self.hang_rate + self.drop_rate {
            Some(Fault::Drop)
        } else {
            None
        }
    }
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Fail(u16),
    Hang,
    Drop,
}

/// Draws lots, the same ones for the same seed.
#[derive(Debug)]
pub(super) struct Lots {
    seed: u64,
    drawn: AtomicU64,
}

impl Lots {
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }

    pub fn draw(&self, faults: &FaultConfig) -> Option<Fault> {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        // 53 bits: every value below 1.
        let lot = (xxh3_64_with_seed(&number.to_le_bytes(), self.seed) >> 11) as f64 / (1_u64 << 53) as f64;
        faults.of(lot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_shares_of_the_requests() {
        let faults = FaultConfig { fail_rate: 0.1, fail_status: 503, hang_rate: 0.2, drop_rate: 0.3 };
        let lots = Lots::new(1);
        let drawn: Vec<Option<Fault>> = (0..10_000).map(|_| lots.draw(&faults)).collect();
        for (fault, share) in
            [(Some(Fault::Fail(503)), 0.1), (Some(Fault::Hang), 0.2), (Some(Fault::Drop), 0.3), (None, 0.4)]
        {
            let seen = drawn.iter().filter(|lot| **lot == fault).count() as f64 / 10_000.0;
            assert!((seen - share).abs() < 0.02, "{fault:?}: {seen} instead of {share}");
        }
    }

    #[test]
    fn zero_is_never_and_one_is_always() {
        let lots = Lots::new(2);
        assert!((0..1_000).all(|_| lots.draw(&FaultConfig::default()).is_none()));
        let always = FaultConfig { hang_rate: 1.0, ..FaultConfig::default() };
        assert!((0..1_000).all(|_| lots.draw(&always) == Some(Fault::Hang)));
    }

    #[test]
    fn names_what_is_out_of_range() {
        let faults = FaultConfig { drop_rate: 1.5, ..FaultConfig::default() };
        assert_eq!(faults.validate(), Err("drop_rate must be between 0 and 1, not 1.5".to_owned()));
        let faults = FaultConfig { fail_rate: 0.6, hang_rate: 0.6, ..FaultConfig::default() };
        assert_eq!(
            faults.validate(),
            Err("fail_rate, hang_rate and drop_rate together must not exceed 1".to_owned())
        );
        let faults = FaultConfig { fail_status: 200, ..FaultConfig::default() };
        assert_eq!(faults.validate(), Err("fail_status must be between 400 and 599, not 200".to_owned()));
    }
}
