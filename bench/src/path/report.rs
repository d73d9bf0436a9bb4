//! The report of `path`: medians with their spreads, and ratios taken within one repeat.

use std::fmt;

use serde_json::{Value, json};

use super::setup::Setup;
use crate::bar::{Bar, Bars, Spread};
use crate::markdown::Markdown;

/// The picker's share may be this much of the share of the server that decides nothing.
const SHARE: f64 = 0.8;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// CPU time of Envoy or a router for each request, in microseconds.
    pub proxy: f64,
    /// CPU time of the picker for each request, in microseconds.
    pub picker: f64,
    /// Requests a second.
    pub rate: f64,
    /// Median time to the whole answer, in microseconds.
    pub p50: f64,
    /// Time of all but one in a hundred, in microseconds.
    pub p99: f64,
}

impl Sample {
    /// CPU time for each request, in microseconds.
    pub fn total(&self) -> f64 {
        self.proxy + self.picker
    }
}

/// All measurements, by setup, in the order of the repeats.
#[derive(Clone, Debug, Default)]
pub struct Report(Vec<(String, Vec<Sample>)>);

impl Report {
    /// Notes the next repeat's.
    pub fn add(&mut self, way: &str, sample: Sample) {
        match self.0.iter_mut().find(|(name, _)| name == way) {
            Some((_, samples)) => samples.push(sample),
            None => self.0.push((way.to_owned(), vec![sample])),
        }
    }

    /// The measurements of a setup.
    pub fn of(&self, way: &Setup) -> &[Sample] {
        let found = self.0.iter().find(|(name, _)| name == way.name());
        found.map(|(_, samples)| samples.as_slice()).unwrap_or_default()
    }

    /// What must hold of the ways that were measured.
    pub fn bars(&self) -> Bars {
        let whole: fn(&Sample) -> f64 = Sample::total;
        let cheaper = |ours: Setup, theirs: Setup| {
            let ratio = ratio(self.of(&ours), self.of(&theirs), whole);
            (!ratio.median.is_nan()).then(|| {
                let what = format!("CPU time of {}, of that of {}", ours.name(), theirs.name());
                Bar::always_below(1.0, what, ratio)
            })
        };
        let share = ratio(self.of(&Setup::Waypost), self.of(&Setup::Yardstick), |s| s.picker);
        let what = "CPU time of the picker alone, of the yardstick's".to_owned();
        let share = (!share.median.is_nan()).then(|| Bar::at_most(SHARE, what, share));
        let bars = [
            cheaper(Setup::Waypost, Setup::Yardstick),
            share,
            cheaper(Setup::Waypost, Setup::Vllm),
            cheaper(Setup::Headers, Setup::Sglang),
        ];
        Bars(bars.into_iter().flatten().collect())
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let ways = self.0.iter().map(|(name, samples)| {
            let samples = samples.iter().map(|s| {
                json!({
                    "cpuMicros": s.total(), "proxyCpuMicros": s.proxy, "pickerCpuMicros": s.picker,
                    "requestsPerSecond": s.rate, "p50Micros": s.p50, "p99Micros": s.p99,
                })
            });
            json!({"way": name, "samples": samples.collect::<Vec<_>>()})
        });
        json!({"bench": "path", "ways": ways.collect::<Vec<_>>(), "bars": self.bars().json()})
    }
}

/// A figure as a share of that of others, each within one repeat.
fn ratio(ours: &[Sample], theirs: &[Sample], get: fn(&Sample) -> f64) -> Spread {
    Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| get(ours) / get(theirs)))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Markdown::new([
            "way",
            "CPU µs a request",
            "of these the proxy",
            "of these the picker",
            "ratio to the yardstick's way",
            "a second",
            "p50 µs",
            "p99 µs",
        ]);
        for (name, samples) in &self.0 {
            let of = |get: fn(&Sample) -> f64| Spread::of(samples.iter().map(get));
            let median = |get| format!("{:.0}", of(get).median);
            table.row([
                name.clone(),
                format!("{:.0}", of(Sample::total)),
                format!("{:.0}", of(|s| s.proxy)),
                format!("{:.0}", of(|s| s.picker)),
                ratio(samples, self.of(&Setup::Yardstick), Sample::total).to_string(),
                median(|s| s.rate),
                median(|s| s.p50),
                median(|s| s.p99),
            ]);
        }
        write!(f, "{table}\n{}", self.bars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_medians_spreads_and_ratios_within_a_repeat() {
        let sample = |proxy, picker| Sample { proxy, picker, rate: 4_000.4, p50: 3.0, p99: 9.0 };
        let mut report = Report::default();
        for (ours, theirs) in [(60.0, 80.0), (30.0, 30.0), (40.0, 60.0)] {
            report.add(Setup::Waypost.name(), sample(100.0, ours));
            report.add(Setup::Yardstick.name(), sample(100.0, theirs));
        }
        let shown = report.to_string();
        for cell in ["140 (130 to 160)", "| 100 ", "40 (30 to 60)", "0.89 (0.88 to 1.00)", "| 4000 "] {
            assert!(shown.contains(cell), "{cell}: {shown}");
        }
        assert_eq!(report.json()["ways"][1]["samples"][0]["cpuMicros"], 180.0);
    }
    #[test]
    fn one_bad_repeat_is_enough_and_what_was_not_measured_has_no_bar() {
        let sample = |proxy, picker| Sample { proxy, picker, rate: 1.0, p50: 1.0, p99: 1.0 };
        let mut report = Report::default();
        for (ours, theirs) in [(70.0, 100.0), (60.0, 80.0), (50.0, 49.0)] {
            report.add(Setup::Waypost.name(), sample(10.0, ours));
            report.add(Setup::Yardstick.name(), sample(10.0, theirs));
        }
        let said: Vec<String> = report.bars().0.iter().map(Bar::to_string).collect();
        let expected = [
            "- DOES NOT HOLD: CPU time of Envoy + Waypost, of that of Envoy + Go echo that decides nothing: \
             0.78 (0.73 to 1.02), always below 1",
            "- holds: CPU time of the picker alone, of the yardstick's: 0.75 (0.70 to 1.02), at most 0.8",
        ];
        assert_eq!(said, expected);
    }
}
