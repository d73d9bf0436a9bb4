//! The pace of scrapes: how often one server is scraped, so that this costs it no more than a share of its time.
//!
//! What a page costs a server is seen from how long it takes. A busy server takes longer without more cost, so the least of
//! many pages counts. Replicas of a picker, which know how many they are, divide what one alone may cost.

use std::time::Duration;

/// The limits of the pace, which a strategy or a flag sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// From the start of one scrape to the start of the next, while requests flow.
    pub interval: Duration,
    /// The same while none do, at least `interval`; zero is the same as `interval`.
    pub rest: Duration,
    /// The most of the time of one core of a server that scraping may take, greater than 0 and at most 1; `None` is no
    /// limit.
    pub share: Option<f64>,
}

impl Limits {
    /// The limits of one of so many replicas of the picker that scrape the same servers: the share is divided among them, and
    /// so is the rate, unless figures would get older than [`SHARED`] by that. At rest only the share is.
    #[must_use]
    pub fn of_one_of(&self, replicas: u32) -> Self {
        let replicas = replicas.max(1);
        let interval = self.interval.saturating_mul(replicas).min(self.interval.max(SHARED));
        Self { interval, rest: self.rest, share: self.share.map(|share| share / f64::from(replicas)) }
    }
}

/// The longest time from one scrape to the next that comes from the number of replicas alone.
const SHARED: Duration = Duration::from_millis(250);

/// The number of pages after which what earlier ones took is forgotten, once or twice.
const MEMORY: u32 = 64;

/// The longest time from one scrape to the next that comes from what a page costs.
const LONGEST: Duration = Duration::from_secs(10);

/// The pace of the scrapes of one server.
#[derive(Debug, Default)]
pub struct Pace {
    /// The shortest time that a page took: of the last pages, and of those before them.
    least: [Option<Duration>; 2],
    pages: u32,
}

impl Pace {
    /// A page took this time.
    pub fn took(&mut self, time: Duration) {
        if self.pages == MEMORY {
            (self.pages, self.least) = (0, [None, self.least[0]]);
        }
        self.pages += 1;
        self.least[0] = Some(self.least[0].map_or(time, |least| least.min(time)));
    }

    /// Another kind of page is asked for, whose cost is not known.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// From the start of one scrape to the start of the next.
    pub fn interval(&self, limits: &Limits, resting: bool) -> Duration {
        let wanted = if resting { limits.rest.max(limits.interval) } else { limits.interval };
        let least = self.least.iter().flatten().min();
        let affordable = least.zip(limits.share).map(|(least, share)| least.div_f64(share).min(LONGEST));
        affordable.unwrap_or_default().max(wanted)
    }
}

#[cfg(test)]
mod tests;
