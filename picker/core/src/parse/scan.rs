//! A strict JSON scanner over bytes: after a look for what is no UTF-8 and for control characters, both with vectors, it
//! checks a whole document in one pass and remembers only where the values of its top level lie. Grammar: RFC 8259, and
//! what Python's `json.loads` takes beyond it: `NaN`, `Infinity` and `-Infinity` as numbers, halves of surrogate pairs. It
//! builds no tree and does not recurse, so a level of nesting costs one bit.

use std::ops::Range;

use memchr::memchr2;

use super::bad_body::BadBody;
use super::open::{Bracket, Open};

/// A value of the top level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub kind: Kind,
    /// Positions of what lies inside: of a string the text between its quotes, as it stands there; of
    /// an array the bytes from its first element to the end of its last; of anything else all of it.
    pub inner: Range<usize>,
    /// Whether there is an object in it whose `type` is that of a content part with an image, audio or video
    /// ([`names_media`]).
    pub media: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String { escapes: bool },
    Number,
    True,
    False,
    Null,
    Array,
    Object,
}

/// Checks the JSON object in `bytes` and calls `field` for each of its fields in their order, with the
/// field's name as it stands there, whether that has escapes, and the value. Returns the position behind its opening bracket.
pub(super) fn object(bytes: &[u8], mut field: impl FnMut(&[u8], bool, Value)) -> Result<usize, BadBody> {
    if let Err(e) = simdutf8::compat::from_utf8(bytes) {
        text_with_halves(bytes, e.valid_up_to())?;
    }
    // RFC 8259, section 8.1: a reader may ignore a byte order mark.
    let pos = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let controls = bytes.iter().fold(u8::MAX, |least, b| least.min(*b)) < b' ';
    let mut scan = Scan { bytes, pos, controls, media: false };
    scan.space();
    if !scan.eat(b'{') {
        return Err(scan.bad("expected '{': a request is a JSON object"));
    }
    let inside = scan.pos;
    scan.space();
    if !scan.eat(b'}') {
        loop {
            let (name, escapes) = scan.key()?;
            let value = scan.value()?;
            field(&bytes[name], escapes, value);
            scan.space();
            if scan.eat(b'}') {
                break;
            }
            scan.comma(Bracket::Curly)?;
        }
    }
    scan.space();
    if scan.pos == bytes.len() {
        Ok(inside)
    } else {
        Err(scan.bad("expected nothing more after the JSON object"))
    }
}

/// The elements of an array that [`object`] found, by what lies inside of it: of each the value and where all of it lies.
pub(super) fn elements(bytes: &[u8], inner: Range<usize>) -> impl Iterator<Item = (Value, Range<usize>)> {
    let mut scan = Scan { bytes: &bytes[..inner.end], pos: inner.start, controls: false, media: false };
    std::iter::from_fn(move || {
        scan.eat(b',');
        scan.space();
        let start = scan.pos;
        let value = scan.value().ok()?;
        let whole = start..scan.pos;
        scan.space();
        Some((value, whole))
    })
}

/// The fields of an object that [`object`] found, `whole` being where all of it lies: of each the name as it stands
/// there, and the value.
pub(super) fn fields(bytes: &[u8], whole: Range<usize>) -> impl Iterator<Item = (&[u8], Value)> {
    let mut scan = Scan { bytes: &bytes[..whole.end], pos: whole.start + 1, controls: false, media: false };
    std::iter::from_fn(move || {
        scan.space();
        scan.eat(b',');
        scan.space();
        let (name, _) = scan.key().ok()?;
        let value = scan.value().ok()?;
        Some((&bytes[name], value))
    })
}

/// Where the value ends that begins at `start`, in a text in which [`object`] found no fault.
pub(super) fn end_of_value(bytes: &[u8], start: usize) -> Option<usize> {
    let mut scan = Scan { bytes, pos: start, controls: false, media: false };
    scan.space();
    scan.value().ok()?;
    Some(scan.pos)
}

/// Checks that `bytes`, which are no UTF-8 from `at` on, would be but for encoded halves of surrogate pairs: Python decodes
/// bodies with `surrogatepass`.
#[cold]
fn text_with_halves(bytes: &[u8], mut at: usize) -> Result<(), BadBody> {
    while let [0xed, 0xa0..=0xbf, 0x80..=0xbf, rest @ ..] = &bytes[at..] {
        let Err(e) = simdutf8::compat::from_utf8(rest) else { return Ok(()) };
        at += 3 + e.valid_up_to();
    }
    Err(BadBody { offset: at, message: "not UTF-8" })
}

const INFINITY: &[u8] = b"Infinity";

/// Calls `field` for each field of the JSON object that begins in `bytes`, as [`object`] does, and whether its value is
/// whole; up to the first thing that is wrong, or the end. Of a string or an array that is cut off there is what is left.
pub(super) fn beginning(bytes: &[u8], mut field: impl FnMut(&[u8], bool, Value, bool)) {
    // A character may be cut, too.
    let text = simdutf8::compat::from_utf8(bytes).map_or_else(|e| &bytes[..e.valid_up_to()], str::as_bytes);
    let pos = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let controls = text.iter().fold(u8::MAX, |least, b| least.min(*b)) < b' ';
    let mut scan = Scan { bytes: text, pos, controls, media: false };
    scan.space();
    if !scan.eat(b'{') {
        return;
    }
    scan.space();
    while let Ok((name, escapes)) = scan.key() {
        let start = scan.pos;
        match scan.value() {
            // A number at the end may go on.
            Ok(value) if value.kind == Kind::Number && scan.pos == text.len() => return,
            Ok(value) => field(&text[name], escapes, value, true),
            Err(_) => {
                if let Some(value) = scan.cut(start) {
                    field(&text[name], escapes, value, false);
                }
                return;
            }
        }
        scan.space();
        if scan.comma(Bracket::Curly).is_err() {
            return;
        }
    }
}

const CONTROL: &str = "a control character in a string must be escaped";

struct Scan<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// Whether there is any control character. Most bodies have none, line breaks included, and then
    /// strings need not be searched for them.
    controls: bool,
    /// Whether media were seen in the value of the top level that is being read.
    media: bool,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.pos += usize::from(found);
        found
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.pos += 1;
        }
    }

    fn bad(&self, message: &'static str) -> BadBody {
        let message = if self.pos < self.bytes.len() { message } else { "the JSON text ends too early" };
        BadBody { offset: self.pos, message }
    }

    fn value(&mut self) -> Result<Value, BadBody> {
        let start = self.pos;
        self.media = false;
        let kind = match self.peek() {
            Some(b'"') => {
                let (inner, escapes) = self.string()?;
                return Ok(Value { kind: Kind::String { escapes }, inner, media: false });
            }
            Some(b'[') => {
                let inner = self.container()?;
                return Ok(Value { kind: Kind::Array, inner, media: self.media });
            }
            Some(b'{') => {
                self.container()?;
                Kind::Object
            }
            _ => self.plain_value()?,
        };
        Ok(Value { kind, inner: start..self.pos, media: self.media })
    }

    /// What there is of a string or array that begins at `start` and was cut off where the bytes end.
    fn cut(&self, start: usize) -> Option<Value> {
        let end = self.bytes.len();
        let rest = self.bytes.get(start + 1..).filter(|_| self.pos >= end)?;
        let (kind, skipped) = match self.bytes[start] {
            b'"' => (Kind::String { escapes: memchr::memchr(b'\\', rest).is_some() }, 0),
            b'[' => (Kind::Array, rest.iter().take_while(|b| b" \n\r\t".contains(b)).count()),
            _ => return None,
        };
        Some(Value { kind, inner: start + 1 + skipped..end, media: self.media })
    }

    /// An array or object with all that is in it, from its bracket on. Returns where its first element
    /// starts and its last one ends.
    fn container(&mut self) -> Result<Range<usize>, BadBody> {
        let mut open = Open::default();
        let mut elements = self.pos..self.pos;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{') => {
                    self.pos += 1;
                    self.space();
                    if !self.eat(b'}') {
                        open.push(Bracket::Curly);
                        self.nested_key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.pos += 1;
                    self.space();
                    if !self.eat(b']') {
                        if open.depth() == 0 {
                            elements.start = self.pos;
                        }
                        open.push(Bracket::Square);
                        continue;
                    }
                }
                _ => {
                    self.plain_value()?;
                }
            }
            // A value is over, and with it perhaps those around it.
            loop {
                let Some(around) = open.last() else { return Ok(elements) };
                if open.depth() == 1 {
                    elements.end = self.pos;
                }
                self.space();
                if !self.eat(around.closing()) {
                    self.comma(around)?;
                    if around == Bracket::Curly {
                        self.nested_key()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    fn comma(&mut self, around: Bracket) -> Result<(), BadBody> {
        if !self.eat(b',') {
            return Err(self.bad(match around {
                Bracket::Curly => "expected ',' or '}'",
                Bracket::Square => "expected ',' or ']'",
            }));
        }
        self.space();
        Ok(())
    }

    /// The name of a field and the colon after it; leaves `pos` at the value.
    fn key(&mut self) -> Result<(Range<usize>, bool), BadBody> {
        if self.peek() != Some(b'"') {
            return Err(self.bad("expected the name of a field, in double quotes"));
        }
        let name = self.string()?;
        self.space();
        if !self.eat(b':') {
            return Err(self.bad("expected ':'"));
        }
        self.space();
        Ok(name)
    }

    /// The same within a value of the top level, where the type of a content part is looked at.
    fn nested_key(&mut self) -> Result<(), BadBody> {
        let (name, _) = self.key()?;
        if &self.bytes[name] == b"type" && !self.media {
            self.media = names_media(&self.bytes[self.pos..]);
        }
        Ok(())
    }

    /// A string from its opening quote on: the text between the quotes, and whether it has escapes.
    fn string(&mut self) -> Result<(Range<usize>, bool), BadBody> {
        self.pos += 1;
        let start = self.pos;
        let mut escapes = false;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok((start..self.pos - 1, escapes));
                }
                Some(b'\\') => {
                    escapes = true;
                    self.escape()?;
                }
                Some(b' '..) => self.text()?,
                _ => return Err(self.bad(CONTROL)),
            }
        }
    }

    /// The part of a string up to its next escape or its end.
    fn text(&mut self) -> Result<(), BadBody> {
        let rest = &self.bytes[self.pos..];
        let text = &rest[..memchr2(b'"', b'\\', rest).unwrap_or(rest.len())];
        if self.controls && text.iter().fold(false, |any, b| any | (*b < b' ')) {
            self.pos += text.iter().take_while(|b| **b >= b' ').count();
            return Err(self.bad(CONTROL));
        }
        self.pos += text.len();
        Ok(())
    }

    fn escape(&mut self) -> Result<(), BadBody> {
        self.pos += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {}
            Some(b'u') => {
                for _ in 0..4 {
                    self.pos += 1;
                    if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return Err(self.bad("expected four hexadecimal digits after \\u"));
                    }
                }
            }
            _ => return Err(self.bad("unknown escape in a string")),
        }
        self.pos += 1;
        Ok(())
    }

    /// A number, true, false or null.
    fn plain_value(&mut self) -> Result<Kind, BadBody> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Kind::True),
            Some(b'f') => self.word(b"false", Kind::False),
            Some(b'n') => self.word(b"null", Kind::Null),
            Some(b'N') if self.eat_all(b"NaN") => Ok(Kind::Number),
            Some(b'I') if self.eat_all(INFINITY) => Ok(Kind::Number),
            _ => Err(self.bad("expected a JSON value")),
        }
    }

    fn eat_all(&mut self, word: &[u8]) -> bool {
        let found = self.bytes[self.pos..].starts_with(word);
        self.pos += if found { word.len() } else { 0 };
        found
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, BadBody> {
        for &byte in word {
            if !self.eat(byte) {
                return Err(self.bad("expected a JSON value"));
            }
        }
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, BadBody> {
        if self.eat(b'-') && self.eat_all(INFINITY) {
            return Ok(Kind::Number);
        }
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), BadBody> {
        let rest = &self.bytes[self.pos..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.pos += count;
        if count == 0 { Err(self.bad("expected a digit")) } else { Ok(()) }
    }
}

/// Whether `text` begins with a string that is the type of a content part with an image, audio or video: `image`,
/// `image_url`, `input_image`, `image_embeds`, `input_audio`, `video_url` and the like, as OpenAI, Anthropic and vLLM
/// call them.
fn names_media(text: &[u8]) -> bool {
    let Some(text) = text.strip_prefix(b"\"") else { return false };
    let text = text.strip_prefix(b"input_").unwrap_or(text);
    let rest = [&b"image"[..], b"audio", b"video"].iter().find_map(|kind| text.strip_prefix(*kind));
    rest.is_some_and(|rest| {
        [&b"\""[..], b"_url\"", b"_embeds\""].iter().any(|ending| rest.starts_with(ending))
    })
}
