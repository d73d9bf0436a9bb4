//! Finding a key in pieces that end anywhere.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::memrchr;

/// The key of the object that has the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Key {
    /// `usage`, of all but one.
    #[default]
    Usage,
    /// `meta_info`, of SGLang's own API.
    MetaInfo,
}

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(Key::Usage.text()));
static META_INFO: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(Key::MetaInfo.text()));

impl Key {
    /// The key in its quotes.
    const fn text(self) -> &'static [u8] {
        match self {
            Self::Usage => b"\"usage\"",
            Self::MetaInfo => b"\"meta_info\"",
        }
    }

    fn finder(self) -> &'static Finder<'static> {
        match self {
            Self::Usage => &USAGE,
            Self::MetaInfo => &META_INFO,
        }
    }
}

/// What the last piece ended with.
#[derive(Debug, Default)]
pub(super) struct Seek {
    /// So many bytes of the key.
    begun: usize,
    /// Whether a backslash stands before those: then it is a text's own quote.
    escaped: bool,
}

impl Seek {
    /// How many bytes of `piece` there are to the end of `key`, if it ends here. It is the same key for all pieces.
    pub(super) fn find(&mut self, key: Key, piece: &[u8]) -> Option<usize> {
        let (finder, key) = (key.finder(), key.text());
        let Self { begun, escaped } = std::mem::take(self);
        let missing = &key[begun..];
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
        while let Some(at) = finder.find(&piece[from..]) {
            let start = from + at;
            from = start + key.len();
            if !escaped_at(start) {
                return Some(from);
            }
        }
        let from = from.max(piece.len().saturating_sub(key.len() - 1));
        // A quote is the key's first byte or its last one.
        *self = match memrchr(b'"', &piece[from..]).map(|at| from + at) {
            Some(start) if key.starts_with(&piece[start..]) => {
                Self { begun: piece.len() - start, escaped: escaped_at(start) }
            }
            _ => Self { begun: 0, escaped: escaped_at(piece.len()) },
        };
        None
    }
}
