//! What the figures must show.

use std::fmt;

use super::report::{Report, Sample, Spread};
use super::way::Way;

/// The picker's share may be this much of the share of the server that decides nothing.
const SHARE: f64 = 0.8;

/// A claim, and whether the figures bear it out.
#[derive(Clone, Debug)]
pub struct Verdict {
    claim: &'static str,
    holds: bool,
    ratio: Spread,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds { "holds" } else { "FAILS" };
        write!(f, "{word}: {}; ratio {:.2}", self.claim, self.ratio)
    }
}

/// All claims whose ways were measured.
pub fn all(report: &Report) -> Vec<Verdict> {
    let total: fn(&Sample) -> f64 = Sample::total;
    let every = |ratio: Spread| ratio.most < 1.0;
    let verdicts: [Option<Verdict>; 4] = [
        verdict(
            report,
            [Way::Waypost, Way::Echo],
            total,
            every,
            "Envoy + Waypost costs less than Envoy + Go echo, in every repeat",
        ),
        verdict(
            report,
            [Way::Waypost, Way::Echo],
            |s| s.picker,
            |ratio| ratio.median <= SHARE,
            "the picker's own share is at most 0.8 of the echo's",
        ),
        verdict(
            report,
            [Way::Waypost, Way::Vllm],
            total,
            every,
            "Envoy + Waypost costs less than vllm-router, in every repeat",
        ),
        verdict(
            report,
            [Way::Headers, Way::Sglang],
            total,
            every,
            "Envoy + Waypost with headers only costs less than sglang-router, in every repeat",
        ),
    ];
    verdicts.into_iter().flatten().collect()
}

fn verdict(
    report: &Report,
    [ours, theirs]: [Way; 2],
    get: fn(&Sample) -> f64,
    holds: impl Fn(Spread) -> bool,
    claim: &'static str,
) -> Option<Verdict> {
    let pairs = report.of(&ours).iter().zip(report.of(&theirs));
    let ratio = Spread::of(pairs.map(|(ours, theirs)| get(ours) / get(theirs)))?;
    Some(Verdict { claim, holds: holds(ratio), ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_repeat_is_enough_and_what_was_not_measured_has_no_verdict() {
        let sample = |proxy, picker| Sample { proxy, picker, rate: 1.0, p50: 1.0, p99: 1.0 };
        let mut report = Report::default();
        for (ours, theirs) in [(70.0, 100.0), (60.0, 80.0), (50.0, 49.0)] {
            report.add(Way::Waypost.name(), sample(10.0, ours));
            report.add(Way::Echo.name(), sample(10.0, theirs));
        }
        let said: Vec<String> = all(&report).iter().map(Verdict::to_string).collect();
        let expected = [
            "FAILS: Envoy + Waypost costs less than Envoy + Go echo, in every repeat; ratio 0.78 (0.73 to 1.02)",
            "holds: the picker's own share is at most 0.8 of the echo's; ratio 0.75 (0.70 to 1.02)",
        ];
        assert_eq!(said, expected);
    }
}
