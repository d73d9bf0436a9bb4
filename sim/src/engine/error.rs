//! Errors of an engine's configuration.

use thiserror::Error;

/// A number that makes no engine.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ConfigError {
    /// A size is zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// A rate is negative, not a number or longer than an hour.
    #[error("{field} must be between 0 and 3600 seconds, not {value}")]
    Rate {
        /// Name of the field.
        field: &'static str,
        /// What it was.
        value: f64,
    },
    /// The jitter is no share.
    #[error("rates.jitter must be between 0 and 1, not {0}")]
    Jitter(f64),
}
