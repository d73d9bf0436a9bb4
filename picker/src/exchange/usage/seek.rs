//! Finding the key in pieces that end anywhere.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::memrchr;

const KEY: &[u8] = b"\"usage\"";

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(KEY));

/// What the last piece ended with.
#[derive(Debug, Default)]
pub(super) struct Seek {
    /// So many bytes of the key.
    begun: usize,
    /// Whether a backslash stands before those: then it is a text's own quote.
    escaped: bool,
}

impl Seek {
    /// How many bytes of `piece` there are to the end of the key, if it ends here.
    pub(super) fn find(&mut self, piece: &[u8]) -> Option<usize> {
        let Self { begun, escaped } = std::mem::take(self);
        let missing = &KEY[begun..];
        let mut from = 0;
        if begun > 0 {
            if piece.starts_with(missing) {
                from = missing.len();
                if !escaped {
                    return Some(from);
                }
            } else if missing.starts_with(piece) {
                *self = Self { begun: begun + piece.len(), escaped };
                return None;
            }
        }
        // What is before the piece matters to a key that begins with it, and only if that was no part of one.
        let escaped_at = |at: usize| match at.checked_sub(1) {
            Some(before) => piece[before] == b'\\',
            None => begun == 0 && escaped,
        };
        while let Some(at) = FINDER.find(&piece[from..]) {
            let start = from + at;
            from = start + KEY.len();
            if !escaped_at(start) {
                return Some(from);
            }
        }
        let from = from.max(piece.len().saturating_sub(KEY.len() - 1));
        // A quote is the key's first byte or its last one.
        *self = match memrchr(b'"', &piece[from..]).map(|at| from + at) {
            Some(start) if KEY.starts_with(&piece[start..]) => {
                Self { begun: piece.len() - start, escaped: escaped_at(start) }
            }
            _ => Self { begun: 0, escaped: escaped_at(piece.len()) },
        };
        None
    }
}
