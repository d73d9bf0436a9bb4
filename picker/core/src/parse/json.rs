//! What a JSON object says.

use std::ops::Range;

use smallvec::SmallVec;

use super::bad_body::BadBody;
use super::format::{Field, Format, Refused, Rewrite};
use super::ignored::{self, Place};
use super::scan::{self, Kind, Value};
use crate::request::{Content, ModelPlace, Text};

/// The values of the fields that are read, in the order of [`Field`].
type Found = [Option<Value>; Field::COUNT];

/// What all of `body` says.
pub(super) fn content(body: &[u8], format: &Format) -> Result<Content, BadBody> {
    let mut found: Found = Default::default();
    let inside = scan::object(body, |name, escapes, value| {
        if let Some(field) = field(name, escapes) {
            found[field as usize] = Some(value);
        }
    })?;
    read(body, format, &found, Some(inside))
}

/// What the beginning of a body says, as far as it is there.
pub(super) fn beginning(beginning: &[u8], format: &Format) -> Content {
    let mut found: Found = Default::default();
    scan::beginning(beginning, |name, escapes, value, is_whole| {
        let field = field(name, escapes);
        if let Some(field) = field.filter(|field| is_whole || format.prompt.contains(field)) {
            found[field as usize] = Some(value);
        }
    });
    read(beginning, format, &found, None).unwrap_or_default()
}

/// The field called `name`, as it stands there.
fn field(name: &[u8], escapes: bool) -> Option<Field> {
    if escapes { unescape(name).and_then(|n| Field::of(n.as_bytes())) } else { Field::of(name) }
}

/// What the fields that were found say. `inside` is the position behind the opening bracket, where all fields are known.
fn read(body: &[u8], format: &Format, found: &Found, inside: Option<usize>) -> Result<Content, BadBody> {
    let get = |field: Field| found[field as usize].as_ref();
    let (model, mut model_place) = match get(Field::Model) {
        None => match inside {
            Some(inside) if format.rewrite == Rewrite::Anywhere => (None, absent(body, inside)),
            _ => (None, ModelPlace::Fixed),
        },
        Some(Value { kind: Kind::Null, inner, .. }) => (None, ModelPlace::Null { value: inner.clone() }),
        Some(value) => match model(body, value) {
            Ok(model) => (Some(model), ModelPlace::Json { value: value.inner.clone() }),
            Err(_) if format.refused == Refused::NoJson => (None, ModelPlace::Fixed),
            Err(bad) => return Err(bad),
        },
    };
    if format.rewrite == Rewrite::Never {
        model_place = ModelPlace::Fixed;
    }
    Ok(Content {
        model,
        model_place,
        cache_salt: get(format.salt).and_then(|value| text(body, value)),
        prompt: if format.anthropic {
            rest_of_prompt(body, format, get)
        } else {
            format.prompt.iter().filter_map(|field| part(get(*field)?)).collect()
        },
        packed_tokens: 0,
        stream: get(Field::Stream).is_some_and(|value| value.kind == Kind::True),
        max_tokens: format.limits.iter().find_map(|field| limit(body, *field, get(*field)?)),
        // The parameters of a tool may be called anything.
        media: (format.prompt.iter().filter(|field| **field != Field::Tools))
            .filter_map(|field| get(*field).filter(|value| value.media).map(|value| value.inner.clone()))
            .collect(),
    })
}

/// The place for a model in an object without one, `insert_at` being the position behind its opening bracket.
fn absent(body: &[u8], insert_at: usize) -> ModelPlace {
    let next = body[insert_at..].iter().find(|b| !b" \n\r\t".contains(b));
    ModelPlace::Absent { insert_at, object_is_empty: next == Some(&b'}') }
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

pub(super) const HALF_A_PAIR: &str = "\"model\" has half of a surrogate pair (\\ud800 to \\udfff), which is no character; write both halves, or leave it out";

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
pub(super) fn text(body: &[u8], value: &Value) -> Option<Text> {
    match value.kind {
        Kind::String { escapes: false } => Some(Text::Plain(value.inner.clone())),
        Kind::String { escapes: true } => unescape(&body[value.inner.clone()]).map(Text::Unescaped),
        _ => None,
    }
}

/// `inner` of a string that the scanner found well-formed, with its escapes resolved.
pub(super) fn unescape(inner: &[u8]) -> Option<Box<str>> {
    let quoted = [b"\"", inner, b"\""].concat();
    serde_json::from_slice(&quoted).ok()
}

/// The limit of the output that `field` tells. Engines' own APIs have it among the parameters of sampling, SGLang as
/// `max_new_tokens`.
fn limit(body: &[u8], field: Field, value: &Value) -> Option<u64> {
    if field != Field::SamplingParams {
        return count(body, value);
    }
    if value.kind != Kind::Object {
        return None;
    }
    let limits = scan::fields(body, value.inner.clone())
        .filter(|(name, _)| matches!(*name, b"max_tokens" | b"max_new_tokens"));
    limits.last().and_then(|(_, value)| count(body, &value))
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
