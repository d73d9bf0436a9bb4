//! The formats of requests that a strategy reads.

use super::format::{FORMATS, Format, OTHER};
use super::parser::Parser;

/// The formats that a strategy reads. Where several fit a request's path, the one with the longest path counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// A bit for each parser.
    parsers: u8,
    /// Whether JSON objects are read under paths of no format, too.
    others: bool,
}

impl Default for Formats {
    fn default() -> Self {
        Self::ALL
    }
}

impl Formats {
    /// Every format, and under other paths what of a JSON object can be told.
    pub const ALL: Self = Self { parsers: !0, others: true };

    /// Those of `parsers`. Bodies under other paths are not read.
    pub fn of(parsers: impl IntoIterator<Item = Parser>) -> Self {
        let bits = parsers.into_iter().fold(0, |bits, parser| bits | bit(parser));
        Self { parsers: bits & !bit(Parser::Passthrough), others: false }
    }

    /// Whether no body is read.
    pub fn is_nothing(self) -> bool {
        self.parsers == 0 && !self.others
    }

    /// Whether JSON objects are read under every path.
    pub(super) fn reads_all(self) -> bool {
        self.others
    }

    /// The format of requests to `path` (without a query); `None` where their bodies are not read.
    pub(super) fn format(self, path: &str) -> Option<&'static Format> {
        let fits = |format: &&Format| self.parsers & bit(format.parser) != 0 && format.is_for(path);
        FORMATS.iter().find(fits).or(if self.others { Some(&OTHER) } else { None })
    }
}

const fn bit(parser: Parser) -> u8 {
    1 << parser as u8
}
