//! A parser of Prometheus metrics pages.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// The samples of one scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the Prometheus or OpenMetrics text format; lines that are no sample are skipped.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum of all samples of `name` that have all of `labels`; 0 without any.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).map(|sample| sample.value).sum()
    }

    /// The value of the one sample of `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn value(&self, name: &str) -> Result<f64> {
        self.all(name, &[]).next().map(|sample| sample.value).with_context(|| format!("no sample of {name}"))
    }

    /// The value of label `label` of the one sample of `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn label(&self, name: &str, label: &str) -> Result<&str> {
        let named = self.0.iter().filter(|sample| sample.name == name);
        let labelled = named.filter_map(|sample| sample.labels.get(label)).next();
        labelled.map(String::as_str).with_context(|| format!("no sample of {name} with a {label}"))
    }

    fn all<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        let has = |sample: &Sample, (label, value): &(&str, &str)| {
            sample.labels.get(*label).is_some_and(|found| found == value)
        };
        self.0
            .iter()
            .filter(move |sample| sample.name == name && labels.iter().all(|label| has(sample, label)))
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, rest) = match line.find('{') {
        Some(_) => line.split_at(line.rfind('}')? + 1),
        None => line.split_at(line.find(' ')?),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Some(Sample { name: name.to_owned(), labels: read_labels(labels.trim_end_matches('}')), value })
}

/// `a="1",b="2"`, with `\"`, `\\` and `\n` inside the quotes.
fn read_labels(mut text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    while let Some((name, quoted)) = text.split_once("=\"") {
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let mut end = quoted.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => {
                    value.extend(characters.next().map(|(_, next)| if next == 'n' { '\n' } else { next }))
                }
                other => value.push(other),
            }
        }
        labels.insert(name.trim_start_matches([',', ' ']).to_owned(), value);
        text = &quoted[end..];
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let text = "# TYPE a gauge\na{m=\"x, \\\"y\\\"}\",n=\"1\"} 2.5\na{m=\"z\",n=\"1\"} 1 1700000000\nb 7\nbroken\n# EOF\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a", &[]), 3.5);
        assert_eq!(metrics.sum("a", &[("m", "x, \"y\"}"), ("n", "1")]), 2.5);
        assert_eq!(metrics.sum("a", &[("m", "none")]), 0.0);
        assert_eq!(metrics.value("b").unwrap(), 7.0);
        assert_eq!(metrics.label("a", "m").unwrap(), "x, \"y\"}");
        assert_eq!(metrics.value("c").unwrap_err().to_string(), "no sample of c");
    }
}
