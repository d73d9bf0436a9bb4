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
mod tests {
    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    const LIMITS: Limits = Limits { interval: millis(50), rest: millis(2000), share: Some(0.02) };

    fn after(times: &[u64]) -> Pace {
        let mut pace = Pace::default();
        times.iter().for_each(|time| pace.took(millis(*time)));
        pace
    }

    #[test]
    fn a_server_spends_no_more_than_its_share_on_pages() {
        let flowing = |times: &[u64]| after(times).interval(&LIMITS, false);
        assert_eq!([&[][..], &[1], &[30], &[60, 20, 500]].map(flowing), [50, 50, 1500, 1000].map(millis));
        // What takes seconds is still asked now and then.
        assert_eq!(flowing(&[3000]), LONGEST);
        let free = Limits { share: None, ..LIMITS };
        assert_eq!(after(&[30]).interval(&free, false), millis(50));
    }

    #[test]
    fn at_rest_the_longer_interval_counts() {
        let resting = |times: &[u64]| after(times).interval(&LIMITS, true);
        assert_eq!([&[][..], &[1], &[30], &[60]].map(resting), [2000, 2000, 2000, 3000].map(millis));
        let never = Limits { rest: Duration::ZERO, ..LIMITS };
        assert_eq!(after(&[1]).interval(&never, true), millis(50));
    }

    #[test]
    fn replicas_together_take_the_share_and_the_rate_of_one() {
        let of_one_of = |replicas| LIMITS.of_one_of(replicas);
        assert_eq!([0, 1].map(of_one_of), [LIMITS, LIMITS]);
        let limits = |interval, share| Limits { interval: millis(interval), share: Some(share), ..LIMITS };
        assert_eq!([2, 4, 5].map(of_one_of), [limits(100, 0.01), limits(200, 0.005), limits(250, 0.004)]);
        // Of a thousand, too, each has figures that are no older than that.
        assert_eq!(of_one_of(1000), limits(250, 0.00002));
        let flowing = |replicas| after(&[2]).interval(&of_one_of(replicas), false);
        assert_eq!(
            [1, 2, 3, 50, 1000, u32::MAX].map(flowing),
            [100, 200, 300, 5000, 10_000, 10_000].map(millis)
        );
        let resting = |replicas| after(&[2]).interval(&of_one_of(replicas), true);
        assert_eq!([1, 3, 20, 30].map(resting), [2000, 2000, 2000, 3000].map(millis));
        // Whoever scrapes more seldom anyway goes on so.
        let seldom = Limits { interval: millis(1000), ..LIMITS };
        assert_eq!(seldom.of_one_of(3), Limits { share: Some(0.02 / 3.0), ..seldom });
        let free = Limits { share: None, ..LIMITS };
        assert_eq!(free.of_one_of(3), Limits { interval: millis(150), ..free });
    }

    #[test]
    fn what_a_page_once_took_is_forgotten_in_the_end() {
        let mut pace = after(&[2]);
        let mut seen = Vec::new();
        for _ in 0..3 * MEMORY {
            pace.took(millis(20));
            seen.push(pace.interval(&LIMITS, false));
        }
        let longer = seen.iter().position(|interval| *interval == millis(1000)).unwrap();
        assert!((MEMORY..=2 * MEMORY).contains(&(longer as u32)), "{longer}");
        assert!(seen[longer..].iter().all(|interval| *interval == millis(1000)));
        pace.forget();
        assert_eq!(pace.interval(&LIMITS, false), millis(50));
    }
}
