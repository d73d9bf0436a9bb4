//! The summary of a run of the suite: passed and failed tests, and the figures of stories.

use std::fmt;
use std::time::Duration;

use crate::test_env::{Figure, Table};

/// The outcome of a run of the suite.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    passed: usize,
    failed: Vec<String>,
    stories: Vec<Story>,
}

/// The outcome of a story.
#[derive(Clone, Debug)]
struct Story {
    figure: Figure,
    ok: bool,
    took: Duration,
}

impl Tally {
    /// Notes `count` tests that passed.
    pub fn passed(&mut self, count: usize) {
        self.passed += count;
    }

    /// Notes a test or check that failed.
    pub fn failed(&mut self, name: impl Into<String>) {
        self.failed.push(name.into());
    }

    /// Notes a story.
    pub fn story(&mut self, name: &str, figure: Figure, ok: bool, took: Duration) {
        if ok {
            self.passed(1);
        } else {
            self.failed(name);
        }
        self.stories.push(Story { figure, ok, took });
    }

    /// Whether nothing failed, and something ran.
    pub fn ok(&self) -> bool {
        self.failed.is_empty() && self.passed > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.stories.is_empty() {
            let mut table = Table::new(&[("row", 3), ("bar", 44), ("measured", 60), ("ok", 3), ("time", 5)]);
            let mut stories: Vec<&Story> = self.stories.iter().collect();
            stories.sort_by_key(|story| story.figure.row);
            for Story { figure, ok, took } in stories {
                let missed = figure.missed.iter().map(|missed| format!("NOT HELD: {missed}"));
                let measured: Vec<String> = Some(figure.measured.clone())
                    .filter(|text| !text.is_empty())
                    .into_iter()
                    .chain(missed)
                    .collect();
                let (row, took) = (figure.row.to_string(), format!("{} s", took.as_secs()));
                let verdict = if *ok { "yes" } else { "NO" };
                table.row([&row, &figure.bar, &measured.join("; "), verdict, &took]);
            }
            writeln!(f, "{table}")?;
        }
        for name in &self.failed {
            writeln!(f, "failed: {name}")?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        let mut tally = Tally::default();
        assert!(!tally.ok(), "nothing ran");
        tally.passed(7);
        assert!(tally.ok());
        let figure = Figure { row: 2, bar: "b".into(), measured: "m".into(), missed: vec!["x".into()] };
        tally.story("wrong::edit", figure, false, Duration::from_secs(3));
        assert!(!tally.ok());
        let shown = tally.to_string();
        assert!(shown.contains("  2    b    m; NOT HELD: x  NO  3 s\n"), "{shown}");
        assert!(shown.ends_with("\nfailed: wrong::edit\n7 passed, 1 failed"), "{shown}");
    }
}
