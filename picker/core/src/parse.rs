//! From headers and a body to [`Content`]: no tree, no copy.
//!
//! Only a body that claims to be JSON (`application/json` or `…+json`, not compressed) under a path
//! whose format is known can be refused, and only if every engine would: when it is no JSON object as
//! Python's `json.loads` reads it, which vLLM and SGLang use and which takes more than RFC 8259 allows,
//! or its `model` is no text. Whatever else is wrong with it is for the model server to say. Any other
//! body is read as well as it can be, and is routed by load when that is not at all. A body without a
//! byte is never refused: it may just not have been asked for.

use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::request::{Content, Headers, Request, Text};

pub use bad_body::BadBody;
use format::{Field, Format, OTHER, claimed};
use ignored::Place;
pub use readable::is_readable;
use scan::{Kind, Value};
use wide::Wide;

mod bad_body;
pub mod coding;
mod format;
mod ignored;
pub mod media;
mod open;
mod readable;
mod scan;
#[cfg(test)]
mod tests;
pub mod wide;

/// Reads what `body` says. Of a field that is there twice the last one counts, as with most readers of
/// JSON. A limit or flag that has the wrong type counts as absent.
///
/// # Errors
/// When the body claims to be JSON of a known format and isn't.
pub fn parse(headers: &Headers, body: &[u8]) -> Result<Content, BadBody> {
    if body.is_empty() || is_compressed(headers) {
        return Ok(Content::default());
    }
    let format = claimed(headers.path());
    match content(body, format.unwrap_or(&OTHER)) {
        Err(bad) if format.is_some() && is_json(headers) && Wide::of(body).is_none() => Err(bad),
        read => Ok(read.unwrap_or_default()),
    }
}

/// Reads what `text` says, which is the body in another form than it came in: as UTF-8, and not compressed. Positions
/// in what comes back are those of `text`. It is never refused: what is wrong with it would have to be said of the form
/// in which it came.
pub fn parse_text(headers: &Headers, text: &[u8]) -> Content {
    content(text, claimed(headers.path()).unwrap_or(&OTHER)).unwrap_or_default()
}

/// Reads what the beginning of a body says, which may be cut off anywhere: of fields that are whole as [`parse`] does, and
/// of a prompt that is cut what is there of it. Nothing is refused: what is missing may make it right.
pub fn parse_beginning(headers: &Headers, beginning: &[u8]) -> Content {
    if is_compressed(headers) { Content::default() } else { parse_beginning_of_text(headers, beginning) }
}

/// The same of the beginning of a text, as [`parse_text`] of all of it.
pub fn parse_beginning_of_text(headers: &Headers, beginning: &[u8]) -> Content {
    let format = claimed(headers.path()).unwrap_or(&OTHER);
    let mut found: Found = Default::default();
    scan::beginning(beginning, |name, escapes, value, is_whole| {
        let field = field(name, escapes);
        if let Some(field) = field.filter(|field| is_whole || format.prompt.contains(field)) {
            found[field as usize] = Some(value);
        }
    });
    read(beginning, format, &found).unwrap_or_default()
}

impl Request {
    /// A request with what its body says.
    ///
    /// # Errors
    /// See [`parse`].
    pub fn new(headers: Headers, body: Bytes) -> Result<Self, BadBody> {
        let content = parse(&headers, &body)?;
        Ok(Self { headers, body, content, priority: 0, partial: false })
    }
}

/// Whether the body claims to be JSON.
pub fn is_json(headers: &Headers) -> bool {
    let Some(kind) = headers.text("content-type") else { return false };
    let kind = kind.split(';').next().unwrap_or(kind).trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// Whether the body has a coding, known or not.
fn is_compressed(headers: &Headers) -> bool {
    coding::codings(headers).is_none_or(|codings| !codings.is_empty())
}

/// The values of the fields that are read, in the order of [`Field`].
type Found = [Option<Value>; Field::COUNT];

fn content(body: &[u8], format: &Format) -> Result<Content, BadBody> {
    let mut found: Found = Default::default();
    scan::object(body, |name, escapes, value| {
        if let Some(field) = field(name, escapes) {
            found[field as usize] = Some(value);
        }
    })?;
    read(body, format, &found)
}

/// The field called `name`, as it stands there.
fn field(name: &[u8], escapes: bool) -> Option<Field> {
    if escapes { unescape(name).and_then(|n| Field::of(n.as_bytes())) } else { Field::of(name) }
}

/// What the fields that were found say.
fn read(body: &[u8], format: &Format, found: &Found) -> Result<Content, BadBody> {
    let get = |field: Field| found[field as usize].as_ref();
    let model = match get(Field::Model) {
        None => None,
        Some(value) if value.kind == Kind::Null => None,
        Some(value) => Some(model(body, value)?),
    };
    Ok(Content {
        model,
        cache_salt: get(Field::CacheSalt).and_then(|value| text(body, value)),
        prompt: if format.anthropic {
            rest_of_prompt(body, format, get)
        } else {
            format.prompt.iter().filter_map(|field| part(get(*field)?)).collect()
        },
        stream: get(Field::Stream).is_some_and(|value| value.kind == Kind::True),
        max_tokens: format.limits.iter().find_map(|field| count(body, get(*field)?)),
        // The parameters of a tool may be called anything.
        media: (format.prompt.iter().filter(|field| **field != Field::Tools))
            .filter_map(|field| get(*field).filter(|value| value.media).map(|value| value.inner.clone()))
            .collect(),
    })
}

/// The name of the model. A server behind would refuse what is none.
fn model(body: &[u8], value: &Value) -> Result<Text, BadBody> {
    let message = match (value.kind, text(body, value)) {
        (Kind::String { .. }, Some(Text::Plain(range)))
            // Half a pair begins with this byte, and all else was found to be UTF-8.
            if body[range.clone()].contains(&0xed) && std::str::from_utf8(&body[range.clone()]).is_err() =>
        {
            HALF_A_PAIR
        }
        (_, Some(text)) => return Ok(text),
        (Kind::String { .. }, None) => HALF_A_PAIR,
        (_, None) => "\"model\" must be a string; put the name of the model in double quotes",
    };
    Err(BadBody { offset: value.inner.start, message })
}

const HALF_A_PAIR: &str = "\"model\" has half of a surrogate pair (\\ud800 to \\udfff), which is no character; write both halves, or leave it out";

/// What a field adds to the prompt: the text of a string, or the elements of an array without the
/// brackets, so that a conversation that went on starts with the bytes of what it was.
fn part(value: &Value) -> Option<Range<usize>> {
    match value.kind {
        Kind::String { .. } | Kind::Array if !value.inner.is_empty() => Some(value.inner.clone()),
        _ => None,
    }
}

/// The same for a format of which engines leave out parts.
fn rest_of_prompt<'v>(
    body: &[u8],
    format: &Format,
    get: impl Fn(Field) -> Option<&'v Value>,
) -> SmallVec<[Range<usize>; 2]> {
    let mut prompt = SmallVec::new();
    for &field in format.prompt {
        let Some(value) = get(field).filter(|value| part(value).is_some()) else { continue };
        let place = match field {
            Field::System => Place::System,
            Field::Messages => Place::Messages,
            _ => Place::Tools,
        };
        ignored::append_rest(body, value, place, &mut prompt);
    }
    prompt
}

/// `None` for what is no string, or one that is no Unicode text (half a surrogate pair).
fn text(body: &[u8], value: &Value) -> Option<Text> {
    match value.kind {
        Kind::String { escapes: false } => Some(Text::Plain(value.inner.clone())),
        Kind::String { escapes: true } => unescape(&body[value.inner.clone()]).map(Text::Unescaped),
        _ => None,
    }
}

/// `inner` of a string that the scanner found well-formed, with its escapes resolved.
fn unescape(inner: &[u8]) -> Option<Box<str>> {
    let quoted = [b"\"", inner, b"\""].concat();
    serde_json::from_slice(&quoted).ok()
}

fn count(body: &[u8], value: &Value) -> Option<u64> {
    if value.kind != Kind::Number {
        return None;
    }
    let number = &body[value.inner.clone()];
    digits(number).or_else(|| {
        // Model servers take 16.0 and 1e3 for whole numbers.
        let float: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        (float.fract() == 0.0 && (0.0..9e15).contains(&float)).then_some(float as u64)
    })
}

/// A number of digits alone that is not beyond `u64`.
fn digits(number: &[u8]) -> Option<u64> {
    number.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { sum.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}
