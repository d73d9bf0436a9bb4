//! Prometheus' text format, as Python's client library prints it.

use std::fmt::Write as _;

use super::histogram::Histogram;

/// A page of metrics.
#[derive(Debug)]
pub(super) struct Text {
    out: String,
    untyped: bool,
    /// Labels of every sample, without braces.
    labels: String,
    created: f64,
}

impl Text {
    /// An empty page. `labels` are those of every sample, `created` the Unix time when the counters began.
    pub fn new(untyped: bool, labels: &[(&str, &str)], created: f64) -> Self {
        Self { out: String::with_capacity(16 << 10), untyped, labels: join(labels), created }
    }

    pub fn finish(self) -> String {
        self.out
    }

    /// The lines before a family's samples.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(self.out, "# HELP {name} {help}");
        if !self.untyped {
            let _ = writeln!(self.out, "# TYPE {name} {kind}");
        }
    }

    /// One sample of the current family, with further labels.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let own = join(labels);
        let comma = if own.is_empty() || self.labels.is_empty() { "" } else { "," };
        let _ = writeln!(self.out, "{name}{{{}{comma}{own}}} {}", self.labels, number(value));
    }

    /// One sample whose labels are these alone.
    pub fn info(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _ = writeln!(self.out, "{name}{{{}}} {}", join(labels), number(value));
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A counter; `name` is without its `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        let total = format!("{name}_total");
        self.family(&total, "counter", help);
        self.sample(&total, &[], value as f64);
        self.created(name, help);
    }

    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            self.sample(&bucket, &[("le", &number(bound))], count as f64);
        }
        self.sample(&format!("{name}_count"), &[], histogram.count() as f64);
        self.sample(&format!("{name}_sum"), &[], histogram.sum);
        self.created(name, help);
    }

    fn created(&mut self, name: &str, help: &str) {
        let name = format!("{name}_created");
        self.family(&name, "gauge", help);
        self.sample(&name, &[], self.created);
    }

    /// Adds series of no interest until the page has at least `size` bytes: what the Python process and the HTTP
    /// library of a real server say of themselves.
    pub fn pad(&mut self, size: usize) {
        if self.out.len() >= size {
            return;
        }
        let name = "http_request_duration_seconds_bucket";
        self.family(
            "http_request_duration_seconds",
            "histogram",
            "Latency of HTTP requests by handler in seconds.",
        );
        for row in 0.. {
            if self.out.len() >= size {
                break;
            }
            let (handler, bound) = (format!("/padding/{}", row / 20), number(f64::from(row % 20) / 10.0));
            self.info(name, &[("handler", &handler), ("le", &bound), ("method", "POST")], f64::from(row));
        }
    }
}

fn join(labels: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in labels {
        if !out.is_empty() {
            out.push(',');
        }
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{name}=\"{value}\"");
    }
    out
}

/// A number as Python prints a float.
fn number(value: f64) -> String {
    if value == f64::INFINITY { "+Inf".to_owned() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_python_client_does() {
        let mut text = Text::new(false, &[("engine", "0"), ("model_name", "a\"b")], 1.5);
        text.gauge("x:running", "Running.", 2.0);
        text.counter("x:tokens", "Tokens.", 7);
        let mut histogram = Histogram::new(&[0.5]);
        histogram.observe(0.25);
        text.histogram("x:time", "Time.", &histogram);
        assert_eq!(
            text.finish(),
            "# HELP x:running Running.\n\
             # TYPE x:running gauge\n\
             x:running{engine=\"0\",model_name=\"a\\\"b\"} 2.0\n\
             # HELP x:tokens_total Tokens.\n\
             # TYPE x:tokens_total counter\n\
             x:tokens_total{engine=\"0\",model_name=\"a\\\"b\"} 7.0\n\
             # HELP x:tokens_created Tokens.\n\
             # TYPE x:tokens_created gauge\n\
             x:tokens_created{engine=\"0\",model_name=\"a\\\"b\"} 1.5\n\
             # HELP x:time Time.\n\
             # TYPE x:time histogram\n\
             x:time_bucket{engine=\"0\",model_name=\"a\\\"b\",le=\"0.5\"} 1.0\n\
             x:time_bucket{engine=\"0\",model_name=\"a\\\"b\",le=\"+Inf\"} 1.0\n\
             x:time_count{engine=\"0\",model_name=\"a\\\"b\"} 1.0\n\
             x:time_sum{engine=\"0\",model_name=\"a\\\"b\"} 0.25\n\
             # HELP x:time_created Time.\n\
             # TYPE x:time_created gauge\n\
             x:time_created{engine=\"0\",model_name=\"a\\\"b\"} 1.5\n"
        );
    }

    #[test]
    fn leaves_types_out_on_request_and_pads() {
        let mut text = Text::new(true, &[], 0.0);
        text.gauge("x", "X.", 1.0);
        assert_eq!(text.out, "# HELP x X.\nx{} 1.0\n");
        text.pad(5_000);
        assert!((5_000..5_200).contains(&text.out.len()));
    }
}
