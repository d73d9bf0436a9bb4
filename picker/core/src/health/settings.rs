//! The settings of passive health.

use std::num::NonZeroU32;
use std::time::Duration;

/// When endpoints are ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether endpoints are ejected at all.
    pub enabled: bool,
    /// How long the first ejection takes.
    pub base_ejection_time: Duration,
    /// How long an ejection takes at most.
    pub max_ejection_time: Duration,
    /// How many times as long as the last one an ejection takes after a trial that failed.
    pub ejection_multiplier: u32,
    /// The largest share of endpoints that is ejected, 0 to 100. When more fail, none is.
    pub max_ejection_percent: u8,
    /// An error of the server counts when it comes within this time of the decision.
    pub fast_failure: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            base_ejection_time: Duration::from_secs(1),
            max_ejection_time: Duration::from_secs(30),
            ejection_multiplier: 10,
            max_ejection_percent: 50,
            fast_failure: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// How long the `level`-th ejection in a row takes; the first has level 1.
    pub fn ejection_time(&self, level: u8) -> Duration {
        let times = self.ejection_multiplier.saturating_pow(u32::from(level.saturating_sub(1)));
        self.base_ejection_time.saturating_mul(times).min(self.max_ejection_time)
    }

    /// [`Self::fast_failure`] in milliseconds; `None` when endpoints aren't ejected.
    pub(crate) fn fast_millis(&self) -> Option<NonZeroU32> {
        let millis = u32::try_from(self.fast_failure.as_millis()).unwrap_or(u32::MAX);
        NonZeroU32::new(millis).filter(|_| self.enabled)
    }

    /// Whether so many of `all` endpoints are too many to eject.
    pub fn too_many(&self, failing: usize, all: usize) -> bool {
        failing * 100 > all * usize::from(self.max_ejection_percent)
    }
}
