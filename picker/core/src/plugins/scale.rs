//! Costs from 0 to 1 of signals of which less is better, for scorers whose scores are costs.

use crate::plugin::BuildError;

#[cfg(test)]
mod tests;

/// How the values of one signal turn into costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    /// The mean cost of the known values: that of an unknown one.
    mean: f64,
}

impl Scale {
    /// The least of `values` costs 0, the most 1, in between linearly; 0 each when all are equal.
    pub fn relative(values: impl Iterator<Item = f32>) -> Self {
        let (mut low, mut high, mut sum, mut known) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0_usize);
        for value in values.filter(|v| v.is_finite()).map(f64::from) {
            (low, high) = (low.min(value), high.max(value));
            sum += value;
            known += 1;
        }
        let range = high - low;
        let mean = if range > 0.0 { (sum / known as f64 - low) / range } else { 0.0 };
        Self { low, high, mean }
    }

    /// Values are costs from 0 to 1 already.
    pub fn share(values: impl Iterator<Item = f32>) -> Self {
        let (mut sum, mut known) = (0.0, 0_usize);
        for value in values.filter(|v| v.is_finite()) {
            sum += f64::from(value).clamp(0.0, 1.0);
            known += 1;
        }
        let mean = if known > 0 { sum / known as f64 } else { 0.0 };
        Self { low: 0.0, high: 1.0, mean }
    }

    /// What `value` costs, and the mean of the others when it is unknown.
    pub fn cost(&self, value: f32) -> f64 {
        let range = self.high - self.low;
        match value.is_finite() {
            true if range > 0.0 => (f64::from(value).clamp(self.low, self.high) - self.low) / range,
            true => 0.0,
            false => self.mean,
        }
    }
}

/// The weight of a part of a cost: what `given`, parameters by name, has first, or else `default`.
pub(super) fn weight(given: &[(&str, Option<f32>)], default: f32) -> Result<f64, BuildError> {
    for &(field, value) in given {
        if value.is_some_and(|value| !(0.0..=f32::MAX).contains(&value)) {
            return Err(BuildError::invalid(field, "must be at least 0"));
        }
    }
    Ok(given.iter().find_map(|(_, value)| *value).unwrap_or(default).into())
}
