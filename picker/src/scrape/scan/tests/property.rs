//! Whatever the text looks like, the scanner finds what was written into it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use super::{everything, of};

/// One line, before it is written in one of the many ways.
#[derive(Clone, Debug)]
struct Line {
    name: &'static str,
    labels: Vec<(String, String)>,
    value: u32,
    style: u8,
}

const NAMES: [&str; 6] = [
    "vllm:num_requests_waiting",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting_by_reason",
    "vllm:kv_cache_usage_perc_bucket",
    "process_cpu_seconds_total",
    "up",
];

impl Line {
    fn render(&self) -> String {
        let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> =
            self.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let space = [" ", "  ", "\t"][usize::from(self.style) % 3];
        let labels = match (labels.is_empty(), self.style & 8) {
            (true, 0) => String::new(),
            (_, 0) => format!("{{{}}}", labels.join(",")),
            _ => format!("{{{},}}", labels.join(" , ")),
        };
        let value = match self.style & 48 {
            16 => format!("{:e}", self.value),
            32 => format!("{}.0", self.value),
            _ => self.value.to_string(),
        };
        let after = ["", " 1760000000000", "\r", " # {trace_id=\"a\"} 1"][usize::from(self.style >> 6)];
        let before = if self.style & 4 == 0 { "" } else { "# TYPE vllm:num_requests_waiting gauge\n\n" };
        format!("{before}{}{labels}{space}{value}{after}\n", self.name)
    }
}

fn line() -> impl Strategy<Value = Line> {
    let label = ("[a-z_]{1,6}", "[a-z{}=,\"\\\\\n é]{0,8}");
    (0..NAMES.len(), vec(label, 0..4), 0u32..10_000, any::<u8>())
        .prop_map(|(name, labels, value, style)| Line { name: NAMES[name], labels, value, style })
}

/// The sum of all values of the series called `name`, if there is one.
fn total(lines: &[Line], name: &str) -> Option<f32> {
    let values: Vec<_> = lines.iter().filter(|line| line.name == name).map(|line| line.value).collect();
    (!values.is_empty()).then(|| values.into_iter().sum::<u32>() as f32)
}

proptest! {
    #[test]
    fn what_was_written_is_found(lines in vec(line(), 0..30)) {
        let text: String = lines.iter().map(Line::render).collect();
        let expected = Signals {
            waiting: total(&lines, NAMES[0]),
            running: total(&lines, NAMES[1]),
            ..Signals::default()
        };
        prop_assert_eq!(of(&text), expected);
    }

    #[test]
    fn no_bytes_break_it_and_chunks_make_no_difference(
        bytes in "[vlm:num_requests_waiting{}=\", \\\\\n0-9a]{0,300}",
        cut in 0usize..300,
    ) {
        let bytes = [b"vllm:num_requests_waiting".as_slice(), bytes.as_bytes()].concat();
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        let mut scanner = Scanner::new(everything());
        scanner.feed(head);
        scanner.feed(tail);
        prop_assert_eq!(scanner.finish(&[]), scan(&everything(), &bytes, &[]));
    }
}
