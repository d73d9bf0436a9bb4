//! The report of `swap`: windows with a swap, against windows without.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bar::{Bar, Bars, Spread};
use crate::latencies::Latencies;
use crate::markdown::Markdown;

/// So unlikely must it be that as many windows with a swap would be slower than every one without if it made no
/// difference, before it counts as one.
const CHANCE: f64 = 0.01;

/// All windows.
#[derive(Clone, Debug)]
pub struct Report {
    at_once: u16,
    window: f64,
    /// Windows with a swap.
    pub swapped: Vec<Latencies>,
    /// Windows without.
    pub quiet: Vec<Latencies>,
    /// From each edit to the first decision by what it says.
    pub live: Vec<Duration>,
}

impl Report {
    /// No window yet, of so many seconds each.
    pub fn new(at_once: u16, window: f64) -> Self {
        Self { at_once, window, swapped: Vec::new(), quiet: Vec::new(), live: Vec::new() }
    }

    fn p99(windows: &[Latencies]) -> Spread {
        Spread::of(windows.iter().map(|window| window.at(0.99)))
    }

    /// Windows with a swap whose p99 is above that of every one without.
    fn above(&self) -> usize {
        let most = Self::p99(&self.quiet).most;
        self.swapped.iter().filter(|window| window.at(0.99) > most).count()
    }

    fn chance(&self) -> f64 {
        chance(self.above(), self.swapped.len(), self.quiet.len())
    }

    /// Swaps don't show: their median is not above all quiet windows, and no more of them are than may be by chance.
    pub fn bars(&self) -> Bars {
        let (swapped, quiet) = (Self::p99(&self.swapped), Self::p99(&self.quiet));
        let median = "p99 of windows with a swap, of the greatest without".to_owned();
        let (above, pairs) = (self.above(), self.swapped.len());
        let chance = format!("chance that {above} of {pairs} of them are above all without");
        Bars(vec![
            Bar::at_most(1.0, median, swapped / quiet.most),
            Bar::never_below(CHANCE, chance, Spread::of([self.chance()])),
        ])
    }

    fn live(&self) -> Spread {
        Spread::of(self.live.iter().map(|live| live.as_secs_f64() * 1e3))
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let windows = |windows: &[Latencies]| {
            let window = |w: &Latencies| {
                json!({
                    "decisions": w.count(), "p50Micros": w.at(0.5), "p99Micros": w.at(0.99),
                    "p999Micros": w.at(0.999), "greatestMicros": w.most(),
                })
            };
            windows.iter().map(window).collect::<Vec<_>>()
        };
        json!({
            "bench": "swap", "atOnce": self.at_once, "windowSeconds": self.window,
            "swapped": windows(&self.swapped), "quiet": windows(&self.quiet),
            "liveAfterMillis": self.live.iter().map(|live| live.as_secs_f64() * 1e3).collect::<Vec<_>>(),
            "p99Micros": {"swapped": Self::p99(&self.swapped).json(), "quiet": Self::p99(&self.quiet).json()},
            "aboveAllQuiet": self.above(), "chance": self.chance(),
            "bars": self.bars().json(),
        })
    }
}

/// How likely it is that of `ours + theirs` values in random order the `above` greatest, or more, are all ours.
fn chance(above: usize, ours: usize, theirs: usize) -> f64 {
    (0..above).map(|taken| (ours - taken) as f64 / (ours + theirs - taken) as f64).product()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pairs, window, at_once) = (self.swapped.len(), self.window, self.at_once);
        writeln!(
            f,
            "{pairs} pairs of windows of {window} s, closed loop, {at_once} short exchanges at once.\n"
        )?;
        let mut table =
            Markdown::new(["windows", "decisions", "p50 µs", "p99 µs", "p99.9 µs", "the longest µs"]);
        for (name, windows) in [("with a swap", &self.swapped), ("without", &self.quiet)] {
            let of = |get: fn(&Latencies) -> f64| format!("{:.0}", Spread::of(windows.iter().map(get)));
            table.row([
                name.to_owned(),
                of(|window| window.count() as f64),
                of(|window| window.at(0.5)),
                of(|window| window.at(0.99)),
                of(|window| window.at(0.999)),
                of(Latencies::most),
            ]);
        }
        writeln!(f, "{table}")?;
        writeln!(f, "Live after an edit of the file: {:.0} ms.\n", self.live())?;
        write!(f, "{}", self.bars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(swapped: &[u64], quiet: &[u64]) -> Report {
        let windows = |micros: &[u64]| {
            let window = |micros: &u64| {
                let mut window = Latencies::none().unwrap();
                window.record(Duration::from_micros(*micros));
                window
            };
            micros.iter().map(window).collect()
        };
        let live = vec![Duration::from_millis(250)];
        Report { swapped: windows(swapped), quiet: windows(quiet), live, ..Report::new(32, 2.0) }
    }

    fn holds(report: &Report) -> Vec<bool> {
        report.bars().0.iter().map(Bar::holds).collect()
    }

    #[test]
    fn swaps_that_look_like_the_others_do_not_show() {
        let report = report(&[105, 110, 130, 100], &[100, 120, 110, 104]);
        assert_eq!((report.above(), holds(&report)), (1, vec![true, true]));
        let said = "- holds: chance that 1 of 4 of them are above all without: 0.50, never below 0.01";
        assert!(report.to_string().contains(said), "{report}");
    }

    #[test]
    fn swaps_show_by_their_median() {
        let report = report(&[150, 160, 150, 100], &[100, 120, 110, 104]);
        assert_eq!(holds(&report), [false, true], "{report}");
    }

    #[test]
    fn swaps_show_by_how_many_are_slower_than_all() {
        let swapped: Vec<u64> = (0..20).map(|n| if n < 9 { 200 } else { 110 }).collect();
        let report = report(&swapped, &[110; 20]);
        assert_eq!(holds(&report), [true, false], "{report}");
        // 20 of 40, 19 of 39, and so on.
        assert!((chance(2, 20, 20) - 0.2436).abs() < 1e-4);
        assert!((chance(0, 20, 20) - 1.0).abs() < f64::EPSILON);
    }
}
