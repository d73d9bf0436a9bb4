//! The object that has the counts, byte by byte: there is one in an answer or an event, and it is short.

use super::counts::{Counts, MOST, Said};

/// The most bytes of an object `usage`. A longer one is none.
const LONGEST: u32 = 4 << 10;
/// The same of `meta_info`, where the logarithms of all probabilities stand before some of the counts.
const LONGEST_META: u32 = 1 << 20;
/// The most bytes of a name that is one of ours.
const NAME: usize = 28;

/// A name with a meaning.
#[derive(Clone, Copy, Debug)]
enum Name {
    Prompt,
    Input,
    Completion,
    Cached,
    Read,
    Created,
    Reasoning,
    Total,
    /// Of the object in which a server says what was cached.
    Details,
    /// Of the object in which a server says what was reasoning.
    AnswerDetails,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Between,
    String,
    /// In a string, behind a backslash.
    Escape,
}

/// What was read of a value.
#[derive(Clone, Copy, Debug, Default)]
enum Value {
    #[default]
    Nothing,
    Digits(u32),
    /// No number, or none without sign and fraction.
    Other,
}

/// What the outermost of the objects that are open within an object is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Other,
    Prompt,
    Answer,
}

/// An object that is being read, from behind its brace on.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// Whether it is a `meta_info`, whose counts stand side by side.
    meta: bool,
    read: u32,
    counts: Counts,
    at: At,
    /// Objects and lists that are open within it.
    depth: u32,
    part: Part,
    /// The last string, if it was not longer.
    word: [u8; NAME],
    length: u8,
    /// Whose value comes.
    name: Option<Name>,
    value: Value,
}

impl Object {
    /// A `meta_info`.
    pub fn meta() -> Self {
        Self { meta: true, ..Self::default() }
    }

    /// Goes on with `piece`. If the object ends there: behind how many of its bytes, and what it said.
    pub fn read(&mut self, piece: &[u8]) -> Option<(usize, Counts)> {
        let longest = if self.meta { LONGEST_META } else { LONGEST };
        for (at, &byte) in piece.iter().enumerate() {
            if self.read == longest {
                return Some((at, Counts::default()));
            }
            self.read += 1;
            if self.byte(byte) {
                return Some((at + 1, self.counts));
            }
        }
        None
    }

    /// Whether the object ends with `byte`.
    fn byte(&mut self, byte: u8) -> bool {
        match (self.at, byte) {
            (At::String, b'"') => self.at = At::Between,
            (At::String, _) => {
                if byte == b'\\' {
                    self.at = At::Escape;
                }
                if let Some(place) = self.word.get_mut(usize::from(self.length)) {
                    *place = byte;
                }
                self.length = self.length.saturating_add(1);
            }
            (At::Escape, _) => self.at = At::String,
            (At::Between, b'"') => {
                self.at = At::String;
                self.length = 0;
                self.value = Value::Other;
            }
            (At::Between, b':') => {
                self.name = self.named();
                self.value = Value::Nothing;
            }
            (At::Between, b'{' | b'[') => {
                if self.depth == 0 {
                    self.part = match self.name {
                        Some(Name::Details) if byte == b'{' => Part::Prompt,
                        Some(Name::AnswerDetails) if byte == b'{' => Part::Answer,
                        _ => Part::Other,
                    };
                }
                self.depth += 1;
                self.name = None;
            }
            (At::Between, b',') => self.keep(),
            (At::Between, b'}' | b']') => {
                self.keep();
                if self.depth == 0 {
                    return true;
                }
                self.depth -= 1;
            }
            (At::Between, b'0'..=b'9') => {
                let digit = u32::from(byte - b'0');
                self.value = match self.value {
                    Value::Nothing => Value::Digits(digit),
                    Value::Digits(n) => Value::Digits(n.saturating_mul(10).saturating_add(digit)),
                    Value::Other => Value::Other,
                };
            }
            (At::Between, _) if byte.is_ascii_whitespace() => {}
            (At::Between, _) => self.value = Value::Other,
        }
        false
    }

    /// What the last string names, where it stands.
    fn named(&self) -> Option<Name> {
        match (self.depth, self.word.get(..usize::from(self.length))?) {
            (0, b"prompt_tokens") => Some(Name::Prompt),
            (0, b"input_tokens") => Some(Name::Input),
            (0, b"completion_tokens" | b"output_tokens") => Some(Name::Completion),
            (0, b"total_tokens") => Some(Name::Total),
            (0, b"reasoning_tokens") => Some(Name::Reasoning),
            (0, b"cached_tokens") if self.meta => Some(Name::Cached),
            (0, b"cache_read_input_tokens") => Some(Name::Read),
            (0, b"cache_creation_input_tokens") => Some(Name::Created),
            // The singular is that of OpenAI's transcriptions and realtime.
            (
                0,
                b"prompt_tokens_details"
                | b"input_tokens_details"
                | b"prompt_token_details"
                | b"input_token_details",
            ) => Some(Name::Details),
            (
                0,
                b"completion_tokens_details"
                | b"output_tokens_details"
                | b"completion_token_details"
                | b"output_token_details",
            ) => Some(Name::AnswerDetails),
            (1, b"cached_tokens") if self.part == Part::Prompt => Some(Name::Cached),
            (1, b"reasoning_tokens") if self.part == Part::Answer => Some(Name::Reasoning),
            _ => None,
        }
    }

    /// Keeps a value that ends.
    fn keep(&mut self) {
        if let (Some(name), Value::Digits(number @ ..=MOST)) = (self.name, self.value) {
            let (counts, number) = (&mut self.counts, Said::number(number));
            match name {
                Name::Prompt => counts.prompt = number,
                Name::Input => counts.input = number,
                Name::Completion => counts.completion = number,
                Name::Cached => counts.cached = number,
                Name::Read => counts.read = number,
                Name::Created => counts.created = number,
                Name::Reasoning => counts.reasoning = number,
                Name::Total => counts.total = number,
                Name::Details | Name::AnswerDetails => {}
            }
        }
        self.name = None;
        self.value = Value::Nothing;
    }
}
