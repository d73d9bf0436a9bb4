//! The model of a form (`multipart/form-data`, RFC 7578), as requests with files are sent. Nothing else of it is read.
//!
//! Read leniently: a boundary of any length and spelling, line breaks of one byte, text before the first part, parts without
//! an end. What can't be read says nothing, and is for the model server to refuse.

use std::ops::Range;

use memchr::memchr;
use memchr::memmem::Finder;
use smallvec::SmallVec;

use crate::request::{Content, Headers, ModelPlace, Text};

/// The longest boundary. RFC 2046 allows 70 characters.
const LONGEST: usize = 256;

/// A text of a few bytes.
type Short = SmallVec<[u8; 72]>;

/// Whether the body claims to be a form.
pub fn is_form(headers: &Headers) -> bool {
    headers.get("content-type").is_some_and(|kind| {
        let name = kind.split(|b| *b == b';').next().unwrap_or(kind).trim_ascii();
        name.eq_ignore_ascii_case(b"multipart/form-data")
    })
}

/// The boundary of the form that the body claims to be.
pub(super) fn boundary(headers: &Headers) -> Option<Short> {
    if !is_form(headers) {
        return None;
    }
    let kind = headers.get("content-type")?;
    // An empty one is none, and another may follow.
    let is_boundary = |name: &[u8], text: &Short| name.eq_ignore_ascii_case(b"boundary") && !text.is_empty();
    let (_, boundary) = parameters(kind).find(|(name, text)| is_boundary(name, text))?;
    (boundary.len() <= LONGEST).then_some(boundary)
}

/// What the form in `body` says: of several models the last one, as in FastAPI, whose servers engines are.
pub(super) fn content(body: &[u8], boundary: &[u8]) -> Content {
    let mut content = Content::default();
    for Part { head, value } in parts(body, boundary) {
        if is_model(&body[head]) && std::str::from_utf8(&body[value.clone()]).is_ok() {
            content.model = Some(Text::Plain(value.clone()));
            content.model_place = ModelPlace::Form { value };
        }
    }
    content
}

/// A part of a form, whose end is there.
struct Part {
    head: Range<usize>,
    value: Range<usize>,
}

fn parts(body: &[u8], boundary: &[u8]) -> impl Iterator<Item = Part> {
    let delimiter = [b"--", boundary].concat();
    let mut delimiters = Delimiters { body, finder: Finder::new(&delimiter).into_owned(), from: 0 };
    let mut open = delimiters.following();
    std::iter::from_fn(move || {
        loop {
            let Delimiter { end, is_last, .. } = open.take()?;
            if is_last {
                return None;
            }
            let next = delimiters.following()?;
            let part = part(body, end..next.start);
            open = Some(next);
            if part.is_some() {
                return part;
            }
        }
    })
}

/// A line with the boundary.
struct Delimiter {
    /// Where it starts, with the line break before it.
    start: usize,
    /// Where the next line starts.
    end: usize,
    /// Whether nothing follows.
    is_last: bool,
}

struct Delimiters<'a> {
    body: &'a [u8],
    finder: Finder<'static>,
    from: usize,
}

impl Delimiters<'_> {
    fn following(&mut self) -> Option<Delimiter> {
        loop {
            let at = self.from + self.finder.find(self.body.get(self.from..)?)?;
            let behind = at + self.finder.needle().len();
            self.from = at + 1;
            let before = &self.body[..at];
            let start = match before {
                [] => 0,
                [.., b'\r', b'\n'] => at - 2,
                [.., b'\n'] => at - 1,
                // A text that has it.
                _ => continue,
            };
            let rest = &self.body[behind..];
            let is_last = rest.starts_with(b"--");
            // Spaces may follow, which a gateway put there.
            let padding = rest.iter().take_while(|b| b" \t".contains(b)).count();
            let end = match &rest[padding..] {
                _ if is_last => behind + 2,
                [b'\r', b'\n', ..] => behind + padding + 2,
                [b'\n', ..] => behind + padding + 1,
                // The boundary of another form, which begins like this one.
                _ => continue,
            };
            self.from = end;
            return Some(Delimiter { start, end, is_last });
        }
    }
}

/// The part at `within`: its head, up to an empty line, and its value. One without an empty line has no value (RFC 2046,
/// section 5.1.1).
fn part(body: &[u8], within: Range<usize>) -> Option<Part> {
    let mut at = within.start;
    loop {
        let line = at;
        at += memchr(b'\n', body.get(at..within.end)?)? + 1;
        if body[line..at - 1].trim_ascii().is_empty() {
            return Some(Part { head: within.start..line, value: at..within.end });
        }
    }
}

/// Whether the head of a part is that of the field `model`, with a text that stands there as it is.
fn is_model(head: &[u8]) -> bool {
    let is_plain = header(head, b"content-transfer-encoding").is_none_or(|encoding| {
        [&b"7bit"[..], b"8bit", b"binary", b""].iter().any(|known| encoding.eq_ignore_ascii_case(known))
    });
    let Some(disposition) = header(head, b"content-disposition") else { return false };
    let kind = disposition.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    is_plain
        && kind.eq_ignore_ascii_case(b"form-data")
        && parameter(disposition, b"name").is_some_and(|name| name[..] == b"model"[..])
        // A file is no text.
        && parameter(disposition, b"filename").is_none()
        && parameter(disposition, b"filename*").is_none()
}

/// The value of the header called `name` (lower case), which may go on in lines that begin with a space (RFC 5322, 2.2.3).
fn header<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let mut at = 0;
    while at < head.len() {
        let start = at;
        at = loop {
            let end = memchr(b'\n', &head[at..]).map_or(head.len(), |length| at + length + 1);
            if !matches!(head.get(end), Some(b' ' | b'\t')) {
                break end;
            }
            at = end;
        };
        let line = &head[start..at];
        let Some(colon) = memchr(b':', line) else { continue };
        if line[..colon].trim_ascii().eq_ignore_ascii_case(name) {
            return Some(line[colon + 1..].trim_ascii());
        }
    }
    None
}

/// The first parameter called `name` (lower case) of a header.
fn parameter(value: &[u8], name: &[u8]) -> Option<Short> {
    parameters(value).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, text)| text)
}

/// The parameters of a header, by their names. Values are tokens or quoted strings (RFC 2045, section 5.1; RFC 2183,
/// section 2).
fn parameters(value: &[u8]) -> impl Iterator<Item = (&[u8], Short)> {
    let mut rest = value;
    std::iter::from_fn(move || {
        loop {
            // To the next parameter: quoted strings may have semicolons.
            rest = &rest[memchr(b';', rest)? + 1..];
            let end = rest.iter().position(|b| matches!(b, b'=' | b';'))?;
            if rest[end] == b'=' {
                let (name, value) = (rest[..end].trim_ascii(), rest[end + 1..].trim_ascii_start());
                let text;
                (text, rest) = self::text(value);
                return Some((name, text));
            }
        }
    })
}

/// The token or quoted string at the beginning of `rest`, and what comes after it.
fn text(rest: &[u8]) -> (Short, &[u8]) {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let end = memchr(b';', rest).unwrap_or(rest.len());
        return (Short::from_slice(rest[..end].trim_ascii()), &rest[end..]);
    };
    let (mut text, mut at) = (Short::new(), 0);
    while let Some(&byte) = quoted.get(at) {
        at += 1;
        match (byte, quoted.get(at)) {
            (b'"', _) => break,
            (b'\\', Some(&escaped)) => {
                text.push(escaped);
                at += 1;
            }
            _ => text.push(byte),
        }
    }
    (text, &quoted[at..])
}

#[cfg(test)]
mod tests;
