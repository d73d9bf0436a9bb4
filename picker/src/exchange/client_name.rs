//! The name of a model in an answer: where a request went on under another model than its client asked for, the answer names
//! that one, and the client is told its own.
//!
//! The name stands under `model` in the object that a JSON answer, or the data of an event, is; under `response.model` in events
//! of OpenAI's Responses API, and under `message.model` in those of Anthropic's Messages API. Nowhere else is it looked for: what
//! the model says, and the arguments of its tools, are not touched. Only a name that is the server's is replaced.
//!
//! Pieces end anywhere. What is held back between two of them is the beginning of a string that may be the name.

use bytes::Bytes;
use memchr::memchr2;

#[cfg(test)]
mod tests;

/// Puts a client's name of a model in place of the server's, piece by piece.
#[derive(Debug)]
pub(super) struct ClientName {
    /// The server's name.
    server: Box<str>,
    /// The client's, as JSON.
    client: Box<str>,
    form: Form,
    json: Json,
    /// A string that may be the name, from its quote on.
    held: Vec<u8>,
    /// How many bytes of it came in pieces before this one.
    carried: usize,
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// JSON.
    Json,
    /// Events, the data of each of which is JSON on one line (WHATWG HTML, "Server-sent events").
    Events(Line),
    /// Anything else, which is passed on.
    Other,
}

/// Where in a line of events the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Behind so many bytes of the field's name.
    Name(u8),
    /// In the data.
    Data,
    /// In another field, or a comment.
    Other,
}

/// The field of an event that has the data.
const DATA: &[u8] = b"data:";

/// Where in a JSON text the next byte is.
#[derive(Clone, Copy, Debug, Default)]
struct Json {
    /// Objects and arrays around it.
    depth: u32,
    /// Whether the innermost is an object, for depths 1 and 2.
    is_object: [bool; 2],
    /// The key that was read last, at depths 1 and 2.
    keys: [Key; 2],
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between strings; one that begins here is a value, or a key if the flag says so.
    Between { key: bool },
    /// In a string, behind a backslash if `escaped`; it is a key if it has one.
    Text { escaped: bool, key: Option<Spelled> },
    /// In a string that is held back, behind a backslash if the flag says so.
    Held { escaped: bool },
}

impl Default for Place {
    fn default() -> Self {
        Self::Between { key: false }
    }
}

/// A key, as far as it is one of those looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    Model,
    /// `response` or `message`.
    Around,
    #[default]
    Other,
}

/// The first bytes of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spelled {
    bytes: [u8; 8],
    /// How many there are, 9 for more.
    length: u8,
}

impl Spelled {
    fn push(&mut self, more: &[u8]) {
        for &byte in more {
            match self.bytes.get_mut(usize::from(self.length)) {
                Some(place) => *place = byte,
                None => {
                    self.length = 9;
                    return;
                }
            }
            self.length += 1;
        }
    }

    fn key(&self) -> Key {
        match self.bytes.get(..usize::from(self.length)) {
            Some(b"model") => Key::Model,
            Some(b"response" | b"message") => Key::Around,
            _ => Key::Other,
        }
    }
}

/// A piece, and what takes its place.
struct Out<'p> {
    piece: &'p [u8],
    /// What of the piece was not put into `new` yet begins here.
    from: usize,
    /// Where the string that is held back begins; 0 when that was in a piece before.
    held_from: usize,
    /// What the client gets, once that is not the piece as it is.
    new: Option<Vec<u8>>,
}

impl Out<'_> {
    /// Puts the piece up to the string that is held back into `new`, and leaves out what comes before `to`.
    fn cut(&mut self, to: usize) -> &mut Vec<u8> {
        let new = self.new.get_or_insert_default();
        new.extend_from_slice(&self.piece[self.from..self.held_from]);
        self.from = to;
        new
    }
}

impl ClientName {
    /// Puts `client` in place of `server`.
    pub(super) fn new(server: &str, client: &str) -> Self {
        let client = serde_json::Value::from(client).to_string().into();
        let (json, held) = (Json::default(), Vec::new());
        Self { server: server.into(), client, form: Form::Other, json, held, carried: 0 }
    }

    /// The answer is of this content type, and `encoded` if it is compressed. Whether it may be changed.
    pub(super) fn head(&mut self, content_type: &str, encoded: bool) -> bool {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        self.form = match kind.as_str() {
            _ if encoded => Form::Other,
            "text/event-stream" => Form::Events(Line::Name(0)),
            "application/json" => Form::Json,
            other if other.ends_with("+json") => Form::Json,
            _ => Form::Other,
        };
        self.form != Form::Other
    }

    /// What the client gets in place of the next `piece`, the last of all if `last`; `None` when that is the piece as it is.
    pub(super) fn pass(&mut self, piece: &[u8], last: bool) -> Option<Bytes> {
        if self.form == Form::Other {
            return None;
        }
        let mut out = Out { piece, from: 0, held_from: 0, new: None };
        let mut at = 0;
        while at < piece.len() {
            at = match self.form {
                Form::Events(line) => self.events(line, at, &mut out),
                _ => self.json(at, piece.len(), &mut out),
            };
        }
        if last {
            self.let_go(&mut out);
        } else if !self.held.is_empty() {
            out.cut(piece.len());
            self.carried = self.held.len();
        }
        let Out { piece, from, new, .. } = out;
        new.map(|mut new| {
            new.extend_from_slice(&piece[from..]);
            new.into()
        })
    }

    /// What is held back, when there are no more pieces.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then(|| held.into())
    }

    /// Reads an event stream from `at` on, where it is in `line`. Where it stopped comes back.
    fn events(&mut self, line: Line, at: usize, out: &mut Out<'_>) -> usize {
        let rest = &out.piece[at..];
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        if end == 0 {
            self.let_go(out);
            self.json = Json::default();
            self.form = Form::Events(Line::Name(0));
            return at + 1;
        }
        match line {
            Line::Data => self.json(at, at + end, out),
            Line::Name(n) if DATA.get(usize::from(n)) == Some(&rest[0]) => {
                let n = n + 1;
                self.form =
                    Form::Events(if usize::from(n) == DATA.len() { Line::Data } else { Line::Name(n) });
                at + 1
            }
            Line::Name(_) | Line::Other => {
                self.form = Form::Events(Line::Other);
                at + end
            }
        }
    }

    /// Reads a JSON text from `at` up to `end`. Where it stopped comes back.
    fn json(&mut self, at: usize, end: usize, out: &mut Out<'_>) -> usize {
        let rest = &out.piece[at..end];
        match self.json.place {
            Place::Text { escaped: true, key } => {
                // A key with an escape counts as another one: no server writes these so.
                let key = key.map(|_| Spelled { length: 9, ..Spelled::default() });
                self.json.place = Place::Text { escaped: false, key };
                at + 1
            }
            Place::Text { escaped: false, mut key } => {
                let special = memchr2(b'"', b'\\', rest);
                if let Some(key) = &mut key {
                    key.push(&rest[..special.unwrap_or(rest.len())]);
                }
                match special {
                    Some(n) if rest[n] == b'"' => self.json.text_ends(key),
                    Some(_) => self.json.place = Place::Text { escaped: true, key },
                    None => self.json.place = Place::Text { escaped: false, key },
                }
                special.map_or(end, |n| at + n + 1)
            }
            Place::Held { escaped } => {
                self.hold(rest[0], escaped, at + 1, out);
                at + 1
            }
            Place::Between { .. } => {
                if rest[0] == b'"' && self.json.is_name() {
                    self.held.push(b'"');
                    out.held_from = at;
                    self.json.place = Place::Held { escaped: false };
                } else {
                    self.json.between(rest[0]);
                }
                at + 1
            }
        }
    }

    /// Holds back `byte` of a string too, which is `escaped`; `next` is the position behind it.
    fn hold(&mut self, byte: u8, escaped: bool, next: usize, out: &mut Out<'_>) {
        self.held.push(byte);
        let ends = byte == b'"' && !escaped;
        let escaped = byte == b'\\' && !escaped;
        if ends {
            let name = serde_json::from_slice::<String>(&self.held);
            if name.is_ok_and(|name| *name == *self.server) {
                self.held.clear();
                self.carried = 0;
                out.cut(next).extend_from_slice(self.client.as_bytes());
            }
            self.let_go(out);
            self.json.text_ends(None);
        } else if self.held.len() > 6 * self.server.len() + 1 {
            // A byte of the name is at most six in JSON.
            self.let_go(out);
            self.json.place = Place::Text { escaped, key: None };
        } else {
            self.json.place = Place::Held { escaped };
        }
    }

    /// Lets what is held back go on as it is: what of it is no part of this piece.
    fn let_go(&mut self, out: &mut Out<'_>) {
        let carried = std::mem::take(&mut self.carried);
        if carried > 0 {
            out.new.get_or_insert_default().extend_from_slice(&self.held[..carried]);
        }
        self.held.clear();
    }
}

impl Json {
    /// Whether a string that begins here is the name of the model.
    fn is_name(&self) -> bool {
        let in_object = |depth: usize| self.is_object[depth - 1];
        let value = self.place == Place::Between { key: false };
        value
            && match self.depth {
                1 => in_object(1) && self.keys[0] == Key::Model,
                2 => {
                    in_object(1) && in_object(2) && self.keys[0] == Key::Around && self.keys[1] == Key::Model
                }
                _ => false,
            }
    }

    /// Reads a byte between strings.
    fn between(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                let is_object = byte == b'{';
                if let Some(place) = self.is_object.get_mut(self.depth as usize) {
                    *place = is_object;
                    self.keys[self.depth as usize] = Key::Other;
                }
                self.depth = self.depth.saturating_add(1);
                self.place = Place::Between { key: is_object };
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.place = Place::Between { key: false };
            }
            b',' => self.place = Place::Between { key: self.innermost_is_object() },
            b'"' => {
                let key = self.place == Place::Between { key: true } && (1..=2).contains(&self.depth);
                self.place = Place::Text { escaped: false, key: key.then(Spelled::default) };
            }
            _ => {}
        }
    }

    /// Deeper than 2 it makes no difference.
    fn innermost_is_object(&self) -> bool {
        let innermost = self.depth.checked_sub(1).and_then(|n| self.is_object.get(n as usize));
        innermost.copied().unwrap_or(false)
    }

    /// A string ends, which is a key if it has one.
    fn text_ends(&mut self, key: Option<Spelled>) {
        if let (Some(key), Some(place)) = (key, self.keys.get_mut(self.depth.saturating_sub(1) as usize)) {
            *place = key.key();
        }
        self.place = Place::Between { key: false };
    }
}
