//! Parts of request bodies that engines leave out of the prompt: they are no part of the prefix, so that they may change
//! from request to request without a conversation losing its server.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;
use smallvec::SmallVec;

use super::scan::{Kind, Value, elements, end_of_value, fields};

/// What is left out of requests of Anthropic's Messages API. Add a line for each source.
///
/// Blocks of text of the system prompt that begin so, in `system` or in a message with the role `system`, and the first
/// line of a system prompt that is one string.
///
/// - `x-anthropic-billing-header`: how Claude Code says who pays, with a hash that is another for each request. vLLM drops
///   such blocks (`vllm/entrypoints/anthropic/serving.py`, `_convert_system_message`; vllm-project/vllm#36829), vllm-mlx the
///   line (waybarrios/vllm-mlx#277). Engines that keep it find nothing in their caches in any case.
const SYSTEM_TEXTS: [&str; 1] = ["x-anthropic-billing-header"];

/// Fields of objects, at any depth.
///
/// - `cache_control`: up to where Anthropic's own servers are to cache. Clients move it to the last message with each turn.
///   vLLM and SGLang make a prompt of the other fields alone (`_convert_block` and `_convert_tools` of vLLM's file above,
///   `python/sglang/srt/entrypoints/anthropic/serving.py`).
const FIELDS: [&[u8]; 1] = [b"\"cache_control\""];

static TEXT_FINDERS: LazyLock<[Finder<'static>; SYSTEM_TEXTS.len()]> =
    LazyLock::new(|| SYSTEM_TEXTS.map(Finder::new));
static FIELD_FINDERS: LazyLock<[Finder<'static>; FIELDS.len()]> = LazyLock::new(|| FIELDS.map(Finder::new));

/// The most parts that are left out of a field of a request; there are a few in requests of honest clients.
const MOST: usize = 64;

/// Parts of a body, in no order.
type Parts = SmallVec<[Range<usize>; 4]>;

/// In which field of a request a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    System,
    Messages,
    Tools,
}

/// Appends to `prompt` what engines read of `value`, which stands at `place` of a request in `bytes`.
pub(super) fn append_rest(
    bytes: &[u8],
    value: &Value,
    place: Place,
    prompt: &mut SmallVec<[Range<usize>; 2]>,
) {
    let mut holes = Parts::new();
    let inner = &bytes[value.inner.clone()];
    if place != Place::Tools && TEXT_FINDERS.iter().any(|finder| finder.find(inner).is_some()) {
        match (place, value.kind) {
            (Place::System, _) => system_text(bytes, value, &mut holes),
            (Place::Messages, Kind::Array) => {
                for (message, whole) in elements(bytes, value.inner.clone()) {
                    if message.kind == Kind::Object {
                        system_message(bytes, whole, &mut holes);
                    }
                }
            }
            _ => {}
        }
    }
    if value.kind == Kind::Array {
        for finder in FIELD_FINDERS.iter() {
            // One within another goes with it, and is not looked at again.
            let mut done = value.inner.start;
            for at in finder.find_iter(inner).take(MOST).map(|at| value.inner.start + at) {
                if at >= done {
                    let hole = field(bytes, &value.inner, at, finder.needle().len());
                    done = hole.as_ref().map_or(at, |hole| hole.end);
                    holes.extend(hole);
                }
            }
        }
    }
    holes.truncate(MOST);
    holes.sort_unstable_by_key(|hole| hole.start);
    let mut at = value.inner.start;
    for Range { start, end } in holes {
        if at < start {
            prompt.push(at..start);
        }
        at = at.max(end);
    }
    if at < value.inner.end {
        prompt.push(at..value.inner.end);
    }
}

/// What is left out of a message.
fn system_message(bytes: &[u8], whole: Range<usize>, holes: &mut Parts) {
    let (mut is_system, mut content) = (false, None);
    for (name, value) in fields(bytes, whole) {
        match name {
            b"role" => is_system = &bytes[value.inner.clone()] == b"system",
            b"content" => content = Some(value),
            _ => {}
        }
    }
    if let Some(content) = content.filter(|_| is_system) {
        system_text(bytes, &content, holes);
    }
}

/// What is left out of a system prompt: the line of a string, the blocks of a list.
fn system_text(bytes: &[u8], value: &Value, holes: &mut Parts) {
    match value.kind {
        Kind::String { .. } if is_ignored(&bytes[value.inner.clone()]) => {
            holes.push(value.inner.start..end_of_line(bytes, value.inner.clone()));
        }
        Kind::Array => ignored_blocks(bytes, value.inner.clone(), holes),
        _ => {}
    }
}

fn is_ignored(text: &[u8]) -> bool {
    SYSTEM_TEXTS.iter().any(|begin| text.starts_with(begin.as_bytes()))
}

/// The position behind the first escaped line break of a string's inside, or its end.
fn end_of_line(bytes: &[u8], inner: Range<usize>) -> usize {
    let mut at = inner.start;
    // The text may end behind a backslash where its rest was not read.
    while let Some(escape) = bytes.get(at..inner.end).and_then(|rest| memchr(b'\\', rest)) {
        at += escape + 2;
        match bytes.get(at - 1) {
            Some(b'n') => return at,
            Some(b'u') if bytes[at..].starts_with(b"000a") || bytes[at..].starts_with(b"000A") => {
                return at + 4;
            }
            _ => {}
        }
    }
    inner.end
}

/// The blocks of a list that are left out, with the commas that they need: what is left is the list without them.
fn ignored_blocks(bytes: &[u8], inner: Range<usize>, holes: &mut Parts) {
    let (mut kept, mut open): (Option<usize>, Option<Range<usize>>) = (None, None);
    for (block, whole) in elements(bytes, inner) {
        if block.kind == Kind::Object && is_ignored_block(bytes, whole.clone()) {
            open = Some(open.map_or(whole.start, |open| open.start)..whole.end);
            continue;
        }
        holes.extend(open.take().map(|open| open.start..whole.start));
        kept = Some(whole.end);
        if holes.len() >= MOST {
            return;
        }
    }
    holes.extend(open.map(|open| kept.unwrap_or(open.start)..open.end));
}

fn is_ignored_block(bytes: &[u8], whole: Range<usize>) -> bool {
    let (mut is_text, mut ignored) = (false, false);
    for (name, value) in fields(bytes, whole) {
        let inner = &bytes[value.inner.clone()];
        match name {
            b"type" => is_text = inner == b"text",
            b"text" => ignored = is_ignored(inner),
            _ => {}
        }
    }
    is_text && ignored
}

/// A field with its comma, if what stands at `at` is its name of `length` bytes with quotes, and no text.
fn field(bytes: &[u8], inner: &Range<usize>, at: usize, length: usize) -> Option<Range<usize>> {
    let space = |at: usize| bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    // A quote behind a backslash is one of a text.
    if bytes[..at].ends_with(b"\\") {
        return None;
    }
    let colon = at + length + space(at + length);
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    // Of a body of which the end was not read, all the rest may be its value.
    let end = end_of_value(bytes, colon + 1).unwrap_or(inner.end);
    if end > inner.end {
        return None;
    }
    let before = bytes[inner.start..at].trim_ascii_end();
    if before.ends_with(b",") {
        return Some(inner.start + before.len() - 1..end);
    }
    // The first field of its object.
    let comma = end + space(end);
    let next = if bytes.get(comma) == Some(&b',') { comma + 1 + space(comma + 1) } else { end };
    Some(at..next)
}
