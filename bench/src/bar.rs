//! Limits that measured figures must meet, and whether they do.

use std::fmt;
use std::ops::Div;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// A figure and what it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    what: String,
    figure: Spread,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// Of the median.
    AtMost(f64),
    /// Of every repeat.
    AlwaysBelow(f64),
    /// Of every repeat.
    NeverBelow(f64),
}

/// All that a measurement must show.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars(pub Vec<Bar>);

/// Least, median and greatest of repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The median.
    pub median: f64,
    /// The greatest.
    pub most: f64,
}

impl Bar {
    /// `what` may be at most `limit`, in the median.
    pub fn at_most(limit: f64, what: String, figure: Spread) -> Self {
        Self { what, figure, limit: Limit::AtMost(limit) }
    }

    /// `what` must be below `limit` in every repeat.
    pub fn always_below(limit: f64, what: String, figure: Spread) -> Self {
        Self { what, figure, limit: Limit::AlwaysBelow(limit) }
    }

    /// `what` may not be below `limit` in any repeat.
    pub fn never_below(limit: f64, what: String, figure: Spread) -> Self {
        Self { what, figure, limit: Limit::NeverBelow(limit) }
    }

    /// Whether it is so. What was not measured is not.
    pub fn holds(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.figure.median <= limit,
            Limit::AlwaysBelow(limit) => self.figure.most < limit,
            Limit::NeverBelow(limit) => self.figure.least >= limit,
        }
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let limit = self.limit.to_string();
        json!({"what": self.what, "figure": self.figure.json(), "limit": limit, "holds": self.holds()})
    }
}

impl Bars {
    /// All of them.
    pub fn json(&self) -> Value {
        self.0.iter().map(Bar::json).collect()
    }

    /// Makes sure that all hold.
    ///
    /// # Errors
    /// When one does not.
    pub fn hold(&self) -> Result<()> {
        let not = self.0.iter().filter(|bar| !bar.holds()).count();
        ensure!(not == 0, "{not} of {} promises do not hold", self.0.len());
        Ok(())
    }
}

impl Spread {
    /// That of `values`; of none, nothing that is a number.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        match values.as_slice() {
            [] => Self { least: f64::NAN, median: f64::NAN, most: f64::NAN },
            [least, ..] => {
                let (middle, most) = (values.len() / 2, values.len() - 1);
                let median = match values.len() % 2 {
                    0 => f64::midpoint(values[middle - 1], values[middle]),
                    _ => values[middle],
                };
                Self { least: *least, median, most: values[most] }
            }
        }
    }

    /// All of it.
    pub fn json(self) -> Value {
        json!({"least": self.least, "median": self.median, "greatest": self.most})
    }
}

impl Div<f64> for Spread {
    type Output = Self;

    fn div(self, by: f64) -> Self {
        Self { least: self.least / by, median: self.median / by, most: self.most / by }
    }
}

impl fmt::Display for Spread {
    /// With as many decimals as the format asks for, which are two by default; one figure where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        if self.median.is_nan() {
            return f.write_str("–");
        }
        write!(f, "{:.digits$}", self.median)?;
        if self.least == self.most {
            return Ok(());
        }
        write!(f, " ({:.digits$} to {:.digits$})", self.least, self.most)
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "holds" } else { "DOES NOT HOLD" };
        write!(f, "- {verdict}: {}: {}, {}", self.what, self.figure, self.limit)
    }
}

impl fmt::Display for Bars {
    /// One a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|bar| writeln!(f, "{bar}"))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "at most {limit}"),
            Self::AlwaysBelow(limit) => write!(f, "always below {limit}"),
            Self::NeverBelow(limit) => write!(f, "never below {limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides_and_nothing_holds_of_nothing() {
        let bar = |values: &[f64]| Bar::at_most(0.8, "x".to_owned(), Spread::of(values.iter().copied()));
        assert_eq!(bar(&[0.9, 0.8, 0.7]).to_string(), "- holds: x: 0.80 (0.70 to 0.90), at most 0.8");
        assert_eq!(bar(&[0.7, 0.95]).to_string(), "- DOES NOT HOLD: x: 0.82 (0.70 to 0.95), at most 0.8");
        assert_eq!(bar(&[0.5]).to_string(), "- holds: x: 0.50, at most 0.8");
        assert!(!bar(&[]).holds());
        assert_eq!(bar(&[0.5]).json()["holds"], true);
        assert_eq!(Spread::of([]).to_string(), "–");
    }

    #[test]
    fn one_bad_repeat_is_enough_where_every_one_counts() {
        let below = |values: [f64; 2]| Bar::always_below(1.0, "x".to_owned(), Spread::of(values));
        let above = |values: [f64; 2]| Bar::never_below(1.0, "x".to_owned(), Spread::of(values));
        assert_eq!(below([0.5, 1.0]).to_string(), "- DOES NOT HOLD: x: 0.75 (0.50 to 1.00), always below 1");
        assert_eq!(above([0.5, 1.0]).to_string(), "- DOES NOT HOLD: x: 0.75 (0.50 to 1.00), never below 1");
        let bars = Bars(vec![below([0.5, 0.9]), above([1.0, 1.5])]);
        bars.hold().unwrap();
        let bars = Bars(vec![below([0.5, 0.9]), above([0.9, 1.5])]);
        assert_eq!(bars.hold().unwrap_err().to_string(), "1 of 2 promises do not hold");
    }
}
