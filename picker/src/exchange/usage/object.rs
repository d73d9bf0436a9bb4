//! The object `usage`, byte by byte: there is one in an answer, and it is short.

use std::num::NonZeroU32;

use crate::metrics::Tokens;

/// The most bytes of an object. A longer one is none.
const LONGEST: usize = 4 << 10;
/// The most bytes of a name that is one of ours.
const NAME: usize = 28;

/// The largest number of tokens that is believed: no model takes or makes as many. Some answers repeat what the client
/// sent, with a `usage` of its own in it.
const MOST: u32 = 16 << 20;

/// A number, or none, in four bytes: there are many at a time. It is kept as one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said(Option<NonZeroU32>);

impl Said {
    fn number(number: u32) -> Self {
        Self(NonZeroU32::new(number.saturating_add(1)))
    }

    fn get(self) -> Option<u32> {
        self.0.map(|more| more.get() - 1)
    }

    fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }
}

/// Those numbers of one object that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// The whole prompt (`prompt_tokens`).
    prompt: Said,
    /// The whole prompt too (`input_tokens` of OpenAI's Responses), or what of it was neither read from the cache nor
    /// written to it (of Anthropic's Messages).
    input: Said,
    /// What of the whole prompt was in the cache (`cached_tokens`).
    cached: Said,
    /// What of the prompt was in the cache, beside the input (Anthropic's).
    read: Said,
    /// What of the prompt was written to the cache, beside the input (Anthropic's).
    created: Said,
    completion: Said,
}

impl Counts {
    /// Takes over what `later` says.
    pub(super) fn learn(&mut self, later: Self) {
        let Self { prompt, input, cached, read, created, completion } = self;
        *prompt = later.prompt.or(*prompt);
        *input = later.input.or(*input);
        *cached = later.cached.or(*cached);
        *read = later.read.or(*read);
        *created = later.created.or(*created);
        *completion = later.completion.or(*completion);
    }

    /// What they say together, if there are any. Who says `prompt_tokens` may repeat parts of it under Anthropic's names
    /// (LiteLLM does).
    pub(super) fn tokens(self) -> Option<Tokens> {
        let Self { prompt, input, cached, read, created, completion } = self;
        let [prompt, input, cached, read, created, completion] =
            [prompt, input, cached, read, created, completion].map(Said::get);
        prompt.or(input).or(cached).or(read).or(created).or(completion)?;
        let apart = input.unwrap_or_default() + read.unwrap_or_default() + created.unwrap_or_default();
        Some(Tokens {
            prompt: prompt.unwrap_or(apart),
            cached: cached.or(read).unwrap_or_default(),
            completion: completion.unwrap_or_default(),
        })
    }
}

/// A name with a meaning.
#[derive(Clone, Copy, Debug)]
enum Name {
    Prompt,
    Input,
    Completion,
    Cached,
    Read,
    Created,
    /// Of the object in which a server says what was cached.
    Details,
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

/// An object that is being read, from behind its brace on.
#[derive(Debug, Default)]
pub(super) struct Object {
    read: usize,
    counts: Counts,
    at: At,
    /// Objects and lists that are open within it.
    depth: usize,
    /// Whether the outermost of them is [`Name::Details`].
    details: bool,
    /// The last string, if it was not longer.
    word: [u8; NAME],
    length: usize,
    /// Whose value comes.
    name: Option<Name>,
    value: Value,
}

impl Object {
    /// Goes on with `piece`. If the object ends there: behind how many of its bytes, and what it said.
    pub(super) fn read(&mut self, piece: &[u8]) -> Option<(usize, Counts)> {
        for (at, &byte) in piece.iter().enumerate() {
            if self.read == LONGEST {
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
                if let Some(place) = self.word.get_mut(self.length) {
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
                    self.details = matches!(self.name, Some(Name::Details)) && byte == b'{';
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
        match (self.depth, self.word.get(..self.length)?) {
            (0, b"prompt_tokens") => Some(Name::Prompt),
            (0, b"input_tokens") => Some(Name::Input),
            (0, b"completion_tokens" | b"output_tokens") => Some(Name::Completion),
            (0, b"cache_read_input_tokens") => Some(Name::Read),
            (0, b"cache_creation_input_tokens") => Some(Name::Created),
            (0, b"prompt_tokens_details" | b"input_tokens_details") => Some(Name::Details),
            (1, b"cached_tokens") if self.details => Some(Name::Cached),
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
                Name::Details => {}
            }
        }
        self.name = None;
        self.value = Value::Nothing;
    }
}
