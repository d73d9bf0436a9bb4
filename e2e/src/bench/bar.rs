//! What a measurement must show, and whether it does.

use std::fmt;

use serde_json::{Value, json};

/// A figure and what it may be at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    what: String,
    figure: Spread,
    limit: f64,
}

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
        Self { what, figure, limit }
    }

    /// Whether it is. What was not measured is not.
    pub fn holds(&self) -> bool {
        self.figure.median <= self.limit
    }

    /// All of it.
    pub fn json(&self) -> Value {
        json!({"what": self.what, "figure": self.figure.json(), "atMost": self.limit, "holds": self.holds()})
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

impl fmt::Display for Spread {
    /// With as many decimals as the format asks for, which are two by default; one figure where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
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
        write!(f, "- {verdict}: {}: {}, at most {}", self.what, self.figure, self.limit)
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
    }
}
