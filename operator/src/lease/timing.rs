//! The times of an election.

use std::time::Duration;

/// The times of an election.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a Lease that is not renewed still keeps others away.
    pub lease: Duration,
    /// How often the holder renews it.
    pub renew: Duration,
    /// How often others look whether it is free, and the holder tries again after a failure.
    pub retry: Duration,
    /// How long one request may take.
    pub request: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            renew: Duration::from_secs(3),
            retry: Duration::from_secs(1),
            request: Duration::from_secs(3),
        }
    }
}
