//! A scanner of the Prometheus text format that looks at the wanted series only.
//!
//! Lines are found with memchr, and a line whose name is not wanted costs one comparison. `# TYPE` lines
//! are not read: a gauge without its type is a gauge. Works on any split of the text into chunks, and
//! never fails: what can't be read is not there.
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use memchr::{memchr, memchr2, memchr3};
use picker_core::view::Signals;

use super::engine::{self, Engine, Found, Sample};
use super::labels::{self, Labels};

#[cfg(test)]
mod tests;

/// The longest line that is looked at, in bytes: a server that names a thousand adapters needs less.
const LONGEST_LINE: usize = 64 << 10;

/// The memory for a line in parts that is kept from one text to the next, in bytes.
const SPARE: usize = 1 << 10;

/// The signals in the whole `text` of a server's metrics. When several engines are found in it, `hint`
/// says which one counts.
pub fn scan(text: &[u8], hint: Option<Engine>) -> Signals {
    let mut scanner = Scanner::default();
    scanner.feed(text);
    scanner.finish(hint)
}

/// A scanner of a text that comes in chunks.
#[derive(Debug, Default)]
pub struct Scanner {
    found: Found,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether that line is too long already; what comes of it is passed over.
    skipping: bool,
}

impl Scanner {
    /// Reads the next chunk.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        if self.skipping || !self.partial.is_empty() {
            let Some(end) = memchr(b'\n', chunk) else { return self.hold(chunk) };
            self.hold(&chunk[..end]);
            self.end_line();
            chunk = &chunk[end + 1..];
        }
        while let Some(end) = memchr(b'\n', chunk) {
            line(&chunk[..end], &mut self.found);
            chunk = &chunk[end + 1..];
        }
        self.hold(chunk);
    }

    /// Keeps a part of a line until its end comes.
    fn hold(&mut self, part: &[u8]) {
        self.skipping |= self.partial.len() + part.len() > LONGEST_LINE;
        if self.skipping {
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(part);
        }
    }

    /// Reads the line that was kept.
    fn end_line(&mut self) {
        line(&self.partial, &mut self.found);
        self.partial.clear();
        self.skipping = false;
    }

    /// What was found; the scanner is ready for the next text.
    pub fn finish(&mut self, hint: Option<Engine>) -> Signals {
        self.end_line();
        self.partial.shrink_to(SPARE);
        std::mem::take(&mut self.found).signals(hint)
    }

    /// Forgets a text that broke off.
    pub fn reset(&mut self) {
        self.partial.clear();
        self.partial.shrink_to(SPARE);
        self.skipping = false;
        self.found = Found::default();
    }
}

fn line(line: &[u8], found: &mut Found) {
    if line.len() > LONGEST_LINE {
        return;
    }
    let line = line.trim_ascii_start();
    // The names of all engines begin with one of these.
    if !matches!(line.first(), Some(b'v' | b's' | b't' | b'n')) {
        return;
    }
    let Some(end) = memchr3(b'{', b' ', b'\t', line) else { return };
    let Some(series) = engine::series(&line[..end]) else { return };
    let rest = line[end..].trim_ascii_start();
    let (labels, rest) = match rest.strip_prefix(b"{") {
        Some(rest) => match labels::split(rest) {
            Some(split) => split,
            None => return,
        },
        None => (Labels::default(), rest),
    };
    let rest = rest.trim_ascii();
    // A timestamp or an exemplar may follow the value.
    let value = &rest[..memchr2(b' ', b'\t', rest).unwrap_or(rest.len())];
    let Some(value) = std::str::from_utf8(value).ok().and_then(|v| v.parse::<f64>().ok()) else { return };
    found.add(series, &Sample { labels, value });
}
