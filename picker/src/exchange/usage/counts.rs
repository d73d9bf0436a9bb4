//! The numbers that an answer says of its tokens, in the terms of every dialect.

use std::num::NonZeroU32;

use crate::metrics::Tokens;

/// The largest number of tokens that is believed: no model takes or makes as many. Some answers repeat what the client
/// sent, with a `usage` of its own in it.
pub(super) const MOST: u32 = 16 << 20;

/// A number, or none, in four bytes: there are many at a time. It is kept as one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said(Option<NonZeroU32>);

impl Said {
    /// `number`, which is at most [`MOST`].
    pub fn number(number: u32) -> Self {
        Self(NonZeroU32::new(number.saturating_add(1)))
    }

    fn get(self) -> Option<u32> {
        self.0.map(|more| more.get() - 1)
    }

    fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    /// Both together; what is not said of one is that of the other.
    fn plus(self, other: Self) -> Self {
        match (self.get(), other.get()) {
            (Some(one), Some(other)) => Self::number(one.saturating_add(other).min(MOST)),
            _ => self.or(other),
        }
    }
}

/// Those numbers of one object that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// The whole prompt (`prompt_tokens`).
    pub prompt: Said,
    /// The whole prompt too (`input_tokens` of OpenAI's Responses), or what of it was neither read from the cache nor
    /// written to it (of Anthropic's Messages).
    pub input: Said,
    /// What of the whole prompt was in the cache (`cached_tokens`).
    pub cached: Said,
    /// What of the prompt was in the cache, beside the input (Anthropic's).
    pub read: Said,
    /// What of the prompt was written to the cache, beside the input (Anthropic's).
    pub created: Said,
    /// The whole answer.
    pub completion: Said,
    /// What of the answer is reasoning.
    pub reasoning: Said,
    /// Prompt and answer together.
    pub total: Said,
}

impl Counts {
    /// Takes over what `later` says.
    pub fn learn(&mut self, later: Self) {
        *self = later.with(self, Said::or);
    }

    /// Adds what `other` says, which is about another answer.
    pub fn add(&mut self, other: Self) {
        *self = other.with(self, Said::plus);
    }

    fn with(self, other: &Self, both: fn(Said, Said) -> Said) -> Self {
        let Self { prompt, input, cached, read, created, completion, reasoning, total } = self;
        Self {
            prompt: both(prompt, other.prompt),
            input: both(input, other.input),
            cached: both(cached, other.cached),
            read: both(read, other.read),
            created: both(created, other.created),
            completion: both(completion, other.completion),
            reasoning: both(reasoning, other.reasoning),
            total: both(total, other.total),
        }
    }

    /// What they say together, if there are any. Who says `prompt_tokens` may repeat parts of it under Anthropic's names
    /// (LiteLLM does). Who says nothing of a prompt but the total has no answer of tokens, or says its length too.
    pub fn tokens(self) -> Option<Tokens> {
        let Self { prompt, input, cached, read, created, completion, reasoning, total } = self;
        let [prompt, input, cached, read, created, completion, reasoning, total] =
            [prompt, input, cached, read, created, completion, reasoning, total].map(Said::get);
        let apart = input
            .or(read)
            .or(created)
            .map(|_| input.unwrap_or_default() + read.unwrap_or_default() + created.unwrap_or_default());
        prompt.or(apart).or(cached).or(completion).or(reasoning).or(total)?;
        let made = completion.unwrap_or_default();
        let left = || total.map(|total| total.saturating_sub(made));
        Some(Tokens {
            prompt: prompt.or(apart).or_else(left).unwrap_or_default(),
            cached: cached.or(read).unwrap_or_default(),
            completion: made,
            reasoning: reasoning.unwrap_or_default(),
        })
    }
}
