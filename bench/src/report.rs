//! The report of `exchanges`: medians, spreads, and ratios taken within one repeat.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::bar::{Bar, Bars, Spread};
use super::markdown::Markdown;
use super::pace::Pace;
use super::programs::YARDSTICK;
use super::tls::SUITE;
use super::workload::Row;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// CPU time of the server for each request, in microseconds.
    pub cpu: f64,
    /// Instructions of the server for each request, where they are counted.
    pub instructions: Option<f64>,
    /// Median time of a decision, in microseconds.
    pub p50: f64,
    /// Time of all but one in a hundred, in microseconds.
    pub p99: f64,
    /// Time of all but one in a thousand, in microseconds.
    pub p999: f64,
    /// How late all but one in a hundred requests were sent at most, in microseconds: the client's share of the times
    /// of an open loop.
    pub late: Option<f64>,
    /// Requests a second.
    pub rate: f64,
    /// Memory in use at the end, in KiB.
    pub resident: u64,
}

/// All measurements, by row and server, in the order of the repeats.
#[derive(Clone, Debug)]
pub struct Report {
    pace: Pace,
    tls: bool,
    samples: BTreeMap<Row, BTreeMap<String, Vec<Sample>>>,
}

impl Report {
    /// Of measurements at this pace.
    pub fn new(pace: Pace, tls: bool) -> Self {
        Self { pace, tls, samples: BTreeMap::new() }
    }

    /// Notes the next repeat's.
    pub fn add(&mut self, row: Row, server: &str, sample: Sample) {
        self.samples.entry(row).or_default().entry(server.to_owned()).or_default().push(sample);
    }

    fn of(&self, row: Row, server: &str) -> &[Sample] {
        self.samples.get(&row).and_then(|servers| servers.get(server)).map_or(&[], Vec::as_slice)
    }

    /// What must hold of every row that was measured.
    pub fn bars(&self) -> Bars {
        let mut bars = Vec::new();
        for (row, servers) in &self.samples {
            let name = row.picker();
            if let Some(samples) = servers.get(name) {
                let (limit, against) = row.bar();
                let what =
                    format!("`{}`: CPU time of {name}, of the yardstick's `{}`", row.name(), against.name());
                bars.push(Bar::at_most(limit, what, ratios(samples, self.of(against, YARDSTICK))));
                let p99 = |samples: &[Sample]| Spread::of(samples.iter().map(|s| s.p99)).median;
                let ratio = p99(samples) / p99(self.of(*row, YARDSTICK));
                let what = format!("`{}`: median p99 of {name}, of the yardstick's", row.name());
                bars.push(Bar::at_most(1.0, what, Spread::of([ratio])));
            }
        }
        Bars(bars)
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let rows = self.samples.iter().map(|(row, servers)| {
            let servers = servers.iter().map(|(name, samples)| {
                let samples = samples.iter().map(|s| {
                    json!({
                        "cpuMicros": s.cpu, "instructions": s.instructions,
                        "p50Micros": s.p50, "p99Micros": s.p99, "p999Micros": s.p999, "lateP99Micros": s.late,
                        "requestsPerSecond": s.rate, "residentKiB": s.resident,
                    })
                });
                (name, samples.collect::<Vec<_>>())
            });
            let servers = servers.collect::<BTreeMap<_, _>>();
            json!({"row": row.name(), "what": row.to_string(), "servers": servers})
        });
        json!({
            "bench": "exchanges",
            "load": match self.pace {
                Pace::Closed(at_once) => json!({"loop": "closed", "atOnce": at_once}),
                Pace::Open(rate) => json!({"loop": "open", "shortRequestsPerSecond": rate}),
            },
            "tls": self.tls.then(|| format!("{SUITE:?}")),
            "rows": rows.collect::<Vec<_>>(),
            "bars": self.bars().json(),
        })
    }
}

/// CPU time as a share of that of others, each within one repeat.
fn ratios(samples: &[Sample], others: &[Sample]) -> Spread {
    Spread::of(samples.iter().zip(others).map(|(sample, other)| sample.cpu / other.cpu))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { format!("TLS 1.3 with {SUITE:?}") } else { "plaintext".to_owned() };
        writeln!(f, "{}, on one connection, {tls}.\n", self.pace)?;
        let all = || self.samples.values().flat_map(BTreeMap::values).flatten();
        let (open, counted) = (all().any(|s| s.late.is_some()), all().any(|s| s.instructions.is_some()));
        let optional = [("late p99 µs", open), ("instructions", counted)];
        let headings =
            ["exchange", "server", "CPU µs", "ratio", "p50 µs", "p99 µs", "p99.9 µs", "a second", "MiB"];
        let optional = optional.into_iter().filter_map(|(heading, shown)| shown.then_some(heading));
        let mut table = Markdown::new(headings.into_iter().chain(optional));
        for (row, servers) in &self.samples {
            for (name, samples) in servers {
                let ratio = ratios(samples, self.of(*row, YARDSTICK));
                let of =
                    |get: fn(&Sample) -> f64| format!("{:.0}", Spread::of(samples.iter().map(get)).median);
                let mut cells = vec![
                    format!("`{}`: {row}", row.name()),
                    name.clone(),
                    format!("{:.1}", Spread::of(samples.iter().map(|s| s.cpu))),
                    if name == YARDSTICK { "1".to_owned() } else { ratio.to_string() },
                    of(|s| s.p50),
                    of(|s| s.p99),
                    of(|s| s.p999),
                    of(|s| s.rate),
                    format!("{}", samples.iter().map(|s| s.resident).max().unwrap_or_default() / 1024),
                ];
                cells.extend(open.then(|| of(|s| s.late.unwrap_or(f64::NAN))));
                cells.extend(counted.then(|| of(|s| s.instructions.unwrap_or(f64::NAN))));
                table.row(cells);
            }
        }
        write!(f, "{table}\n{}", self.bars())
    }
}

#[cfg(test)]
mod tests {
    use super::super::programs::WAYPOST;
    use super::*;

    fn sample(cpu: f64, p99: f64) -> Sample {
        let (instructions, late) = (None, None);
        Sample { cpu, instructions, p50: 1.0, p99, p999: 3.0, late, rate: 4.0, resident: 2048 }
    }

    #[test]
    fn ratios_are_taken_within_a_repeat() {
        let mut report = Report::new(Pace::Closed(32), false);
        for (ours, theirs) in [(40.0, 80.0), (100.0, 100.0), (30.0, 40.0)] {
            report.add(Row::Short, WAYPOST, sample(ours, 2.0));
            report.add(Row::Short, YARDSTICK, sample(theirs, 2.0));
        }
        let shown = report.to_string();
        assert!(shown.contains("40.0 (30.0 to 100.0)") && shown.contains("0.75 (0.50 to 1.00)"), "{shown}");
        assert!(!shown.contains("late") && !shown.contains("instructions"), "{shown}");
    }

    #[test]
    fn headers_alone_are_held_against_the_short_row() {
        let mut report = Report::new(Pace::Open(8000.0), true);
        report.add(Row::Short, YARDSTICK, sample(40.0, 2.0));
        report.add(Row::Headers, YARDSTICK, sample(10.0, 2.0));
        report.add(Row::Headers, Row::Headers.picker(), sample(18.0, 3.0));
        let bars: Vec<String> = report.bars().0.iter().map(Bar::to_string).collect();
        assert_eq!(
            bars,
            [
                "- holds: `headers`: CPU time of Waypost, headers alone, of the yardstick's `short`: 0.45, at most 0.5",
                "- DOES NOT HOLD: `headers`: median p99 of Waypost, headers alone, of the yardstick's: 1.50, at most 1",
            ]
        );
        assert!(report.to_string().contains("| 1.80 "), "against the same row too: {report}");
        assert_eq!(report.json()["tls"], "TLS13_AES_128_GCM_SHA256");
    }
}
