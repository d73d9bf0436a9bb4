//! A scanner of the Prometheus text format that looks at the wanted series only.
//!
//! Lines are found with memchr, and a line whose name is not wanted costs a look at its first byte, or at its name's
//! length and end. `# TYPE` lines
//! are not read: a gauge without its type is a gauge. Works on any split of the text into chunks, and
//! never fails: what can't be read is not there.
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::sync::Arc;

use memchr::{memchr, memchr3};
use picker_core::view::Signals;

use super::engine::{Found, Pod, Sample};
use super::labels::{self, Labels};
use super::table::Table;

#[cfg(test)]
mod tests;

/// The longest line that is looked at, in bytes: a server that names a thousand adapters needs less.
const LONGEST_LINE: usize = 64 << 10;

/// The memory for a line in parts that is kept from one text to the next, in bytes.
const SPARE: usize = 1 << 10;

/// The signals in the whole `text` of a server's metrics. When several engines are found in it, `hint`
/// says which one counts.
pub fn scan(table: &Arc<Table>, text: &[u8], hint: &[Option<Arc<str>>]) -> Signals {
    let mut scanner = Scanner::new(table.clone());
    scanner.feed(text);
    scanner.finish(hint)
}

/// A scanner of a text that comes in chunks.
#[derive(Debug)]
pub struct Scanner {
    table: Arc<Table>,
    found: Found,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// Whether that line is too long already; what comes of it is passed over.
    skipping: bool,
}

impl Scanner {
    /// A scanner for what `table` wants.
    pub fn new(table: Arc<Table>) -> Self {
        Self::of_pod(table, Pod::default())
    }

    /// The same for pages that are read for `pod`: of series that name one, its own alone count.
    pub fn of_pod(table: Arc<Table>, pod: Pod) -> Self {
        let found = Found::new(&table, pod);
        Self { table, found, partial: Vec::new(), skipping: false }
    }

    /// Forgets a text that broke off, and scans the next one for what `table` wants.
    pub fn want(&mut self, table: Arc<Table>) {
        let none = Found::new(&table, Pod::default());
        self.found = std::mem::replace(&mut self.found, none).renewed(&table);
        self.table = table;
        self.reset();
    }

    /// Reads the next chunk.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        if self.skipping || !self.partial.is_empty() {
            let Some(end) = memchr(b'\n', chunk) else { return self.hold(chunk) };
            self.hold(&chunk[..end]);
            self.end_line();
            chunk = &chunk[end + 1..];
        }
        while let Some(end) = memchr(b'\n', chunk) {
            line(&chunk[..end], &self.table, &mut self.found);
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
        line(&self.partial, &self.table, &mut self.found);
        self.partial.clear();
        self.skipping = false;
    }

    /// Leaves out the line that has begun: the text ends within it.
    pub fn cut(&mut self) {
        self.partial.clear();
        self.skipping = false;
    }

    /// What was found; the scanner is ready for the next text.
    pub fn finish(&mut self, hint: &[Option<Arc<str>>]) -> Signals {
        self.end_line();
        self.partial.shrink_to(SPARE);
        self.found.take(&self.table, hint)
    }

    /// The names of all that is wanted of the engines that were found in the last text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.found.taken().iter().flat_map(|engine| self.table.names(*engine))
    }

    /// Forgets a text that broke off.
    pub fn reset(&mut self) {
        self.partial.clear();
        self.partial.shrink_to(SPARE);
        self.skipping = false;
        self.found.reset();
    }
}

fn line(line: &[u8], table: &Table, found: &mut Found) {
    if line.len() > LONGEST_LINE {
        return;
    }
    let line = line.trim_ascii_start();
    if !line.first().is_some_and(|first| table.begins_with(*first)) {
        return;
    }
    let Some(end) = memchr3(b'{', b' ', b'\t', line) else { return };
    let wanted = table.get(&line[..end]);
    if wanted.is_empty() {
        return;
    }
    let rest = line[end..].trim_ascii_start();
    let (labels, rest) = match rest.strip_prefix(b"{") {
        Some(rest) => match labels::split(rest) {
            Some(split) => split,
            None => return,
        },
        None => (Labels::default(), rest),
    };
    // A timestamp or an exemplar may follow the value.
    let mut words = rest.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
    let mut word = || words.next().and_then(|word| std::str::from_utf8(word).ok());
    let Some(value) = word().and_then(|v| v.parse::<f64>().ok()) else { return };
    let timestamp = word().and_then(|t| t.parse().ok()).unwrap_or(0);
    let sample = Sample { labels, value, timestamp };
    for want in wanted.iter().filter(|want| want.means(&labels)) {
        found.add(want.engine, table.meanings(want.engine), &want.figure, &sample);
    }
}
