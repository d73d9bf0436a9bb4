//! What a conversation is known by: its opening, which is the same in each of its requests.
//!
//! Of a list of messages it is all up to the first message of the user: a later request has more messages, and is equal so far.
//! The messages are read as JSON, one byte after the other, and no further than that.

use std::ops::Range;

use memchr::memchr2;
use xxhash_rust::xxh3::Xxh3;

use crate::index::chain;
use crate::request::Request;

/// What stands for the opening of the conversation in `request`, of whose first message of the user `prefix` bytes count; `None`
/// without a prompt.
pub(super) fn hash(request: &Request, prefix: usize) -> Option<u64> {
    let mut left = length(request, prefix);
    if left == 0 {
        return None;
    }
    let seed = chain::seed(request.model().unwrap_or_default(), request.cache_salt());
    // Not part by part: where parts end may change from request to request.
    let mut hasher = Xxh3::with_seed(seed);
    for part in request.prompt() {
        let counts = &part[..part.len().min(left)];
        hasher.update(counts);
        left -= counts.len();
        if left == 0 {
            break;
        }
    }
    Some(hasher.digest())
}

/// How many bytes of the prompt are its opening.
fn length(request: &Request, prefix: usize) -> usize {
    let (mut messages, mut before) = (Messages::default(), 0);
    for range in &request.content.prompt {
        messages.begin(&request.body[..range.start]);
        if let Some(found) = messages.user(&request.body[range.clone()], before) {
            return found.start + found.len().min(prefix);
        }
        before += range.len();
    }
    before.min(prefix)
}

/// Reads the parts of a prompt, which are lists of messages, texts, or pieces of these.
#[derive(Default)]
struct Messages {
    /// Whether it is a list.
    is_list: bool,
    /// How many lists and objects are open: 1 within a message.
    depth: usize,
    in_string: bool,
    /// Where the message begins.
    start: usize,
    /// Within a message: whether a value comes next; whether it is that of `role`; whether that was `user`.
    at_value: bool,
    is_role: bool,
    is_user: bool,
}

impl Messages {
    /// A part comes that follows `before` in the body. It goes on with the last one, unless a list or a text begins there.
    fn begin(&mut self, before: &[u8]) {
        match before.trim_ascii_end().last() {
            Some(b'[') => *self = Self { is_list: true, ..Self::default() },
            Some(b'"') if self.depth == 0 => self.is_list = false,
            _ => {}
        }
    }

    /// Where the first message of the user is in the prompt, if it ends in `part`, which begins `at` bytes after the prompt's
    /// beginning.
    fn user(&mut self, part: &[u8], at: usize) -> Option<Range<usize>> {
        let mut pos = if self.is_list { 0 } else { part.len() };
        while pos < part.len() {
            if self.in_string {
                let end = pos + end_of_string(&part[pos..])?;
                self.string(&part[pos..end]);
                pos = end + 1;
                continue;
            }
            match part[pos] {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    if self.depth == 0 {
                        *self = Self { is_list: true, start: at + pos, ..Self::default() };
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 && self.is_user {
                        return Some(self.start..at + pos + 1);
                    }
                }
                b':' if self.depth == 1 => self.at_value = true,
                b',' if self.depth == 1 => self.at_value = false,
                _ => {}
            }
            pos += 1;
        }
        None
    }

    /// A string has ended.
    fn string(&mut self, string: &[u8]) {
        self.in_string = false;
        match (self.depth, self.at_value) {
            (1, false) => self.is_role = string == b"role",
            (1, true) => self.is_user |= self.is_role && string == b"user",
            _ => {}
        }
    }
}

/// Where the quote is in `rest` that ends its string; `None` when it goes on behind it.
fn end_of_string(rest: &[u8]) -> Option<usize> {
    let mut pos = 0;
    loop {
        let found = pos + memchr2(b'"', b'\\', rest.get(pos..)?)?;
        if rest[found] == b'"' {
            return Some(found);
        }
        pos = found + 2;
    }
}
