//! Medians with their spreads, and ratios taken within one repeat.

use std::fmt;

use serde_json::{Value, json};

use super::way::Way;

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

/// All measurements, by way, in the order of the repeats.
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

    /// The measurements of a way.
    pub fn of(&self, way: &Way) -> &[Sample] {
        let found = self.0.iter().find(|(name, _)| name == way.name());
        found.map(|(_, samples)| samples.as_slice()).unwrap_or_default()
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
        json!(ways.collect::<Vec<_>>())
    }
}

/// Least, median and greatest.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Spread {
    /// That of some values.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        Some(Self { least, median: values[values.len() / 2], most })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(0);
        let Self { least, median, most } = self;
        write!(f, "{median:.places$} ({least:.places$} to {most:.places$})")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| way | CPU µs a request | of these the proxy | of these the picker | ratio to the echo's way | requests/s | p50 µs | p99 µs |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        let echo = self.of(&Way::Echo);
        for (name, samples) in &self.0 {
            let shown = |spread: Option<Spread>, places| {
                spread.map_or_else(|| "–".to_owned(), |spread| format!("{spread:.places$}"))
            };
            let of = |get: fn(&Sample) -> f64| shown(Spread::of(samples.iter().map(get)), 0);
            let median =
                |get: fn(&Sample) -> f64| Spread::of(samples.iter().map(get)).map_or(f64::NAN, |s| s.median);
            let ratio = samples.iter().zip(echo).map(|(sample, echo)| sample.total() / echo.total());
            let (total, proxy, picker) = (of(Sample::total), of(|s| s.proxy), of(|s| s.picker));
            let ratio = shown(Spread::of(ratio), 2);
            let (rate, p50, p99) = (median(|s| s.rate), median(|s| s.p50), median(|s| s.p99));
            writeln!(
                f,
                "| {name} | {total} | {proxy} | {picker} | {ratio} | {rate:.0} | {p50:.0} | {p99:.0} |"
            )?;
        }
        Ok(())
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
            report.add(Way::Waypost.name(), sample(100.0, ours));
            report.add(Way::Echo.name(), sample(100.0, theirs));
        }
        let shown = report.to_string();
        let row = "| Envoy + Waypost | 140 (130 to 160) | 100 (100 to 100) | 40 (30 to 60) | 0.89 (0.88 to 1.00) | 4000 | 3 | 9 |";
        assert!(shown.lines().any(|line| line == row), "{shown}");
        assert_eq!(report.json()[1]["samples"][0]["cpuMicros"], 180.0);
    }
}
