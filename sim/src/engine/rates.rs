//! How long a step takes.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::error::ConfigError;

/// What one step computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepWork {
    /// Tokens of prompts (and of preempted sequences that are recomputed).
    pub prefill_tokens: u32,
    /// Sequences that generate one further token.
    pub decode_sequences: u32,
    /// Tokens that these sequences already have in KV memory, summed.
    pub decode_context: u64,
}

/// A linear model of step time: `base + b*prefill_tokens + c*decode_sequences + d*decode_context`, all in seconds. Its
/// terms are what a GPU does: reading the weights, multiplying, launching and sampling, reading the KV cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRates {
    /// Seconds of every step.
    pub base: f64,
    /// Seconds a prefilled token.
    pub prefill_token: f64,
    /// Seconds a decoding sequence.
    pub decode_sequence: f64,
    /// Seconds a token of context of a decoding sequence.
    pub context_token: f64,
    /// Every step is longer or shorter by up to this share, 0 to 1, evenly spread.
    pub jitter: f64,
}

impl StepRates {
    /// The same engine, `factor` times as fast.
    #[must_use]
    pub fn faster(self, factor: f64) -> Self {
        Self {
            base: self.base / factor,
            prefill_token: self.prefill_token / factor,
            decode_sequence: self.decode_sequence / factor,
            context_token: self.context_token / factor,
            jitter: self.jitter,
        }
    }

    /// Seconds that a step of this work takes, before jitter.
    pub fn seconds(&self, work: StepWork) -> f64 {
        self.base
            + self.prefill_token * f64::from(work.prefill_tokens)
            + self.decode_sequence * f64::from(work.decode_sequences)
            + self.context_token * work.decode_context as f64
    }

    /// Time that the step number `step` takes, at least a nanosecond.
    pub(super) fn duration(&self, work: StepWork, seed: u64, step: u64) -> Duration {
        let mut seconds = self.seconds(work);
        if self.jitter > 0.0 {
            let share = xxh3_64_with_seed(&step.to_le_bytes(), seed) as f64 / u64::MAX as f64;
            seconds *= 1.0 + self.jitter * (2.0 * share - 1.0);
        }
        Duration::from_secs_f64(seconds).max(Duration::from_nanos(1))
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let rates = [
            ("rates.base", self.base),
            ("rates.prefill_token", self.prefill_token),
            ("rates.decode_sequence", self.decode_sequence),
            ("rates.context_token", self.context_token),
        ];
        for (field, value) in rates {
            // The upper bound keeps every step time representable.
            if !(0.0..=3600.0).contains(&value) {
                return Err(ConfigError::Rate { field, value });
            }
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(ConfigError::Jitter(self.jitter));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: StepRates = StepRates {
        base: 0.01,
        prefill_token: 0.001,
        decode_sequence: 0.0001,
        context_token: 0.00001,
        jitter: 0.0,
    };
    const WORK: StepWork = StepWork { prefill_tokens: 10, decode_sequences: 5, decode_context: 100 };

    #[test]
    fn adds_up_its_terms() {
        assert_eq!(RATES.duration(WORK, 0, 0), Duration::from_micros(21_500));
        assert_eq!(RATES.faster(2.0).duration(WORK, 0, 0), Duration::from_micros(10_750));
    }

    #[test]
    fn jitter_stays_in_its_range_and_follows_the_seed() {
        let rates = StepRates { jitter: 0.1, ..RATES };
        let times: Vec<f64> = (0..100).map(|step| rates.duration(WORK, 3, step).as_secs_f64()).collect();
        assert!(times.iter().all(|t| (0.0215 * 0.9..=0.0215 * 1.1).contains(t)), "{times:?}");
        assert!(times.iter().any(|t| *t < 0.0215 * 0.95) && times.iter().any(|t| *t > 0.0215 * 1.05));
        let again: Vec<f64> = (0..100).map(|step| rates.duration(WORK, 3, step).as_secs_f64()).collect();
        assert_eq!(times, again);
    }

    #[test]
    fn refuses_rates_that_are_no_times() {
        let negative = StepRates { base: -1.0, ..RATES };
        assert_eq!(negative.validate(), Err(ConfigError::Rate { field: "rates.base", value: -1.0 }));
        assert!(StepRates { context_token: f64::NAN, ..RATES }.validate().is_err());
        assert_eq!(StepRates { jitter: 2.0, ..RATES }.validate(), Err(ConfigError::Jitter(2.0)));
    }
}
