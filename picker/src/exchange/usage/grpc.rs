//! The counts in answers of vLLM's gRPC service, read while its frames go by.
//!
//! Frames: the gRPC protocol over HTTP/2, "Length-Prefixed-Message": a byte that says whether the message is compressed,
//! four of its length, the message. Messages: `vllm_engine.proto` of vLLM. A message of `Generate` has a `chunk` (field 1)
//! or a `complete` (2); in these are `prompt_tokens`, `completion_tokens` and `cached_tokens` (fields 2, 3, 4 of a chunk
//! and 3, 4, 5 of a complete), the whole number up to then. A message of `Embed` has `prompt_tokens` (2) itself. The wire
//! format is that of <https://protobuf.dev/programming-guides/encoding>. Of a message that breaks it, and of one that is
//! compressed, no more is read.

use super::counts::{Counts, MOST, Said};

/// The method that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Generate,
    Embed,
}

/// Which message the next field is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// That of the frame.
    Outer,
    Chunk,
    Complete,
}

/// A number whose groups of seven bits come one after another.
#[derive(Clone, Copy, Debug, Default)]
struct Varint {
    number: u64,
    /// How many bits there are up to now.
    bits: u8,
}

impl Varint {
    /// Takes the next byte. The number, if it ends with it; an error for one of more than ten bytes.
    fn byte(&mut self, byte: u8) -> Result<Option<u64>, ()> {
        if self.bits >= 70 {
            return Err(());
        }
        self.number |= u64::from(byte & 0x7f).checked_shl(self.bits.into()).unwrap_or_default();
        self.bits += 7;
        Ok((byte & 0x80 == 0).then_some(self.number))
    }
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug)]
enum At {
    /// In the head of a frame, of which so many bytes were read.
    Head(u8),
    /// In what tells a field and its type.
    Tag(Varint),
    /// In the length of this field.
    Length(u64, Varint),
    /// In the number that is this field.
    Number(u64, Varint),
    /// In so many bytes that say nothing here.
    Skip(u32),
}

/// An answer that is being read.
#[derive(Debug)]
pub(super) struct Frames {
    method: Method,
    at: At,
    message: Message,
    /// Whether the frame is compressed.
    compressed: bool,
    /// Bytes of the frame's message that are left.
    left: u32,
    /// Those of the message within it.
    inner: u32,
    pub counts: Counts,
}

impl Frames {
    pub fn new(method: Method) -> Self {
        let (at, message, counts) = (At::Head(0), Message::Outer, Counts::default());
        Self { method, at, message, compressed: false, left: 0, inner: 0, counts }
    }

    /// Whether there are several messages, one after another.
    pub fn is_stream(&self) -> bool {
        self.method == Method::Generate
    }

    /// Looks at the next piece.
    pub fn see(&mut self, mut piece: &[u8]) {
        while let Some(&byte) = piece.first() {
            let read = match self.at {
                At::Head(0) => {
                    self.compressed = byte != 0;
                    self.left = 0;
                    self.at = At::Head(1);
                    piece = &piece[1..];
                    continue;
                }
                At::Head(read) => {
                    self.left = self.left << 8 | u32::from(byte);
                    self.at = if read < 4 { At::Head(read + 1) } else { self.begun() };
                    piece = &piece[1..];
                    continue;
                }
                At::Skip(bytes) => piece.len().min(bytes as usize),
                _ => 1,
            };
            self.left -= read as u32;
            self.inner = self.inner.saturating_sub(read as u32);
            self.at = match self.at {
                At::Skip(bytes) if bytes > read as u32 => At::Skip(bytes - read as u32),
                At::Skip(_) => At::Tag(Varint::default()),
                other => self.byte(other, byte).unwrap_or(At::Skip(self.left)),
            };
            let done = matches!(self.at, At::Tag(Varint { bits: 0, .. }) | At::Skip(0));
            if self.message != Message::Outer && self.inner == 0 {
                self.message = Message::Outer;
                if !done {
                    self.at = At::Skip(self.left);
                }
            }
            if self.left == 0 {
                self.at = At::Head(0);
            } else if done {
                self.at = At::Tag(Varint::default());
            }
            piece = &piece[read..];
        }
    }

    /// Where the message of a frame begins.
    fn begun(&mut self) -> At {
        (self.message, self.inner) = (Message::Outer, 0);
        match (self.left, self.compressed) {
            (0, _) => At::Head(0),
            (left, true) => At::Skip(left),
            _ => At::Tag(Varint::default()),
        }
    }

    /// What comes behind `byte`; `None` if the message is broken.
    fn byte(&mut self, at: At, byte: u8) -> Option<At> {
        /// So many bytes of the message that the field is of are left.
        fn fits(frames: &Frames, length: u64) -> Option<u32> {
            let left = if frames.message == Message::Outer { frames.left } else { frames.inner };
            u32::try_from(length).ok().filter(|length| *length <= left)
        }
        Some(match at {
            At::Tag(mut tag) => match tag.byte(byte).ok()? {
                None => At::Tag(tag),
                Some(tag) => {
                    let field = tag >> 3;
                    match tag & 7 {
                        0 => At::Number(field, Varint::default()),
                        1 => At::Skip(fits(self, 8)?),
                        2 => At::Length(field, Varint::default()),
                        5 => At::Skip(fits(self, 4)?),
                        _ => return None,
                    }
                }
            },
            At::Length(field, mut length) => match length.byte(byte).ok()? {
                None => At::Length(field, length),
                Some(length) => {
                    let length = fits(self, length)?;
                    let within = match (self.method, self.message, field) {
                        (Method::Generate, Message::Outer, 1) => Some(Message::Chunk),
                        (Method::Generate, Message::Outer, 2) => Some(Message::Complete),
                        _ => None,
                    };
                    match within {
                        Some(message) if length > 0 => {
                            (self.message, self.inner) = (message, length);
                            At::Tag(Varint::default())
                        }
                        _ => At::Skip(length),
                    }
                }
            },
            At::Number(field, mut number) => match number.byte(byte).ok()? {
                None => At::Number(field, number),
                Some(number) => {
                    self.keep(field, number);
                    At::Tag(Varint::default())
                }
            },
            At::Head(_) | At::Skip(_) => return None,
        })
    }

    /// Keeps the number of a field.
    fn keep(&mut self, field: u64, number: u64) {
        let Some(number) = u32::try_from(number).ok().filter(|number| *number <= MOST) else { return };
        let (counts, number) = (&mut self.counts, Said::number(number));
        match (self.method, self.message, field) {
            (Method::Generate, Message::Chunk, 2) | (Method::Generate, Message::Complete, 3) => {
                counts.prompt = number;
            }
            (Method::Generate, Message::Chunk, 3) | (Method::Generate, Message::Complete, 4) => {
                counts.completion = number;
            }
            (Method::Generate, Message::Chunk, 4) | (Method::Generate, Message::Complete, 5) => {
                counts.cached = number;
            }
            (Method::Embed, Message::Outer, 2) => counts.prompt = number,
            _ => {}
        }
    }
}
