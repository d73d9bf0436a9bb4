//! What an answer says of its tokens, read while its pieces go by.
//!
//! Model servers write an object `usage`: at the end of a JSON answer, in the last events of a stream, under
//! `response` or `message` in some dialects. So it is found wherever it stands, by its key alone. Within a text
//! (what the model says) its quotes are escaped, and so it is no key. A number that comes again takes the place of
//! the former one: servers count up, and some say those of the prompt first and those of the answer last. Anthropic's
//! dialect splits a prompt into what was read from the cache, what was written to it, and the rest; vLLM says the whole
//! in `message_start`, and its parts in `message_delta`.
//!
//! Pieces end anywhere, so what is known between two of them are a few bytes of state and no bytes of the answer.
//! A piece without the key, as nearly all are, costs one search.

mod object;
mod seek;
#[cfg(test)]
mod tests;

use object::{Counts, Object};
use seek::Seek;

use crate::metrics::{Model, Tokens};

/// Counts the answer to a request for a model: its status, and when this is dropped what it says of its tokens.
#[derive(Debug)]
pub(super) struct CountedAnswer {
    model: Model,
    /// `None` for an answer that can't be read, or is not believed.
    usage: Option<UsageReader>,
}

impl CountedAnswer {
    /// Nothing was seen of the answer yet.
    pub(super) fn new(model: Model) -> Self {
        Self { model, usage: Some(UsageReader::default()) }
    }

    /// The head has come; `encoded` says whether the body is compressed.
    pub(super) fn head(&mut self, status: Option<u16>, encoded: bool) {
        self.model.answered(status);
        // What comes with another status may be what the client sent.
        if encoded || status.is_some_and(|status| !(200..300).contains(&status)) {
            self.usage = None;
        }
    }

    /// Looks at the next piece of the answer.
    pub(super) fn see(&mut self, piece: &[u8]) {
        if let Some(usage) = &mut self.usage {
            usage.see(piece);
        }
    }

    /// What was found, if anything.
    pub(super) fn tokens(&self) -> Option<Tokens> {
        self.usage.as_ref()?.tokens()
    }
}

impl Drop for CountedAnswer {
    fn drop(&mut self) {
        if let Some(tokens) = self.tokens() {
            self.model.took(tokens);
        }
    }
}

/// Reads an answer for its token counts.
#[derive(Debug, Default)]
struct UsageReader {
    at: At,
    counts: Counts,
}

/// Where in the answer the next byte is.
#[derive(Debug)]
enum At {
    /// Anywhere.
    Text(Seek),
    /// Behind the key.
    Key,
    /// Behind the colon after it.
    Colon,
    /// In the object.
    Object(Object),
}

impl Default for At {
    fn default() -> Self {
        Self::Text(Seek::default())
    }
}

impl UsageReader {
    fn see(&mut self, mut piece: &[u8]) {
        while let Some(&byte) = piece.first() {
            let space = byte.is_ascii_whitespace();
            let (next, seen) = match &mut self.at {
                At::Text(seek) => match seek.find(piece) {
                    Some(seen) => (At::Key, seen),
                    None => return,
                },
                At::Key if byte == b':' => (At::Colon, 1),
                At::Colon if byte == b'{' => (At::Object(Object::default()), 1),
                At::Key | At::Colon if space => {
                    piece = &piece[1..];
                    continue;
                }
                // The key was a value, or its own value is none of ours (`null` in most events).
                At::Key | At::Colon => (At::default(), 0),
                At::Object(object) => match object.read(piece) {
                    Some((seen, counts)) => {
                        self.counts.learn(counts);
                        (At::default(), seen)
                    }
                    None => return,
                },
            };
            self.at = next;
            piece = &piece[seen..];
        }
    }

    fn tokens(&self) -> Option<Tokens> {
        self.counts.tokens()
    }
}
