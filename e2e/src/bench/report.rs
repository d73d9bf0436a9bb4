//! Medians, spreads, and ratios taken within one repeat.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::arms::YARDSTICK;
use super::workload::Row;
use crate::stage::Table;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// CPU time of the server for each request, in microseconds.
    pub cpu: f64,
    /// Median time of a decision, in microseconds.
    pub p50: f64,
    /// Time of all but one in a hundred, in microseconds.
    pub p99: f64,
    /// Time of all but one in a thousand, in microseconds.
    pub p999: f64,
    /// Requests a second.
    pub rate: f64,
    /// Memory in use at the end, in KiB.
    pub resident: u64,
}

/// All measurements, by row and server, in the order of the repeats.
#[derive(Clone, Debug, Default)]
pub struct Report {
    samples: BTreeMap<Row, BTreeMap<&'static str, Vec<Sample>>>,
}

impl Report {
    /// Notes the next repeat's.
    pub fn add(&mut self, row: Row, server: &'static str, sample: Sample) {
        self.samples.entry(row).or_default().entry(server).or_default().push(sample);
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let rows = self.samples.iter().map(|(row, servers)| {
            let servers = servers.iter().map(|(name, samples)| {
                let samples = samples.iter().map(|s| {
                    json!({
                        "cpuMicros": s.cpu, "p50Micros": s.p50, "p99Micros": s.p99, "p999Micros": s.p999,
                        "requestsPerSecond": s.rate, "residentKiB": s.resident,
                    })
                });
                (*name, samples.collect::<Vec<_>>())
            });
            json!({"row": row.to_string(), "servers": servers.collect::<BTreeMap<_, _>>()})
        });
        json!(rows.collect::<Vec<_>>())
    }
}

/// Writes `figures` to `file`, if there is one.
///
/// # Errors
/// When it can't be written.
pub fn write_json(file: Option<&Path>, figures: &Value) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_vec_pretty(figures)?;
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// A median with its spread, with this many digits.
pub fn shown([least, median, most]: [f64; 3], digits: usize) -> String {
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

/// Least, median and greatest.
pub fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => [f64::NAN; 3],
        count => [values[0], values[count / 2], values[count - 1]],
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            ("row", 28),
            ("server", 28),
            ("CPU µs a request", 24),
            ("ratio", 20),
            ("p50 µs", 8),
            ("p99 µs", 8),
            ("p99.9 µs", 8),
            ("MiB", 6),
        ]);
        for (row, servers) in &self.samples {
            let yardstick = servers.get(YARDSTICK).map(Vec::as_slice).unwrap_or_default();
            for (name, samples) in servers {
                let [least, median, most] = spread(samples.iter().map(|s| s.cpu));
                let of = |get: fn(&Sample) -> f64| format!("{:.0}", spread(samples.iter().map(get))[1]);
                let ratios = samples.iter().zip(yardstick).map(|(sample, other)| sample.cpu / other.cpu);
                let [low, ratio, high] = spread(ratios);
                table.row([
                    &row.to_string(),
                    &(*name).to_owned(),
                    &format!("{median:.1} ({least:.1} to {most:.1})"),
                    &format!("{ratio:.2} ({low:.2} to {high:.2})"),
                    &of(|s| s.p50),
                    &of(|s| s.p99),
                    &of(|s| s.p999),
                    &format!("{}", samples.iter().map(|s| s.resident).max().unwrap_or_default() / 1024),
                ]);
            }
        }
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_repeat() {
        let sample = |cpu| Sample { cpu, p50: 1.0, p99: 2.0, p999: 3.0, rate: 4.0, resident: 2048 };
        let mut report = Report::default();
        for (ours, theirs) in [(40.0, 80.0), (100.0, 100.0), (30.0, 40.0)] {
            report.add(Row::Short, "ours", sample(ours));
            report.add(Row::Short, YARDSTICK, sample(theirs));
        }
        let shown = report.to_string();
        assert!(shown.contains("40.0 (30.0 to 100.0)") && shown.contains("0.75 (0.50 to 1.00)"), "{shown}");
    }
}
