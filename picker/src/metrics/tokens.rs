//! The counts of the tokens of answers.

use std::sync::atomic::{AtomicU64, Ordering};

/// The tokens of one answer, as its model server says. Each number is at most `u32::MAX`, so that no server makes
/// the sums wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Those of them that the server had in its prefix cache.
    pub cached: u32,
    /// Tokens that the server made.
    pub completion: u32,
    /// Those of them that are reasoning; 0 where the server does not say it.
    pub reasoning: u32,
}

/// The sums of the tokens of many answers.
#[derive(Debug, Default)]
pub(super) struct Sums {
    prompt: AtomicU64,
    cached: AtomicU64,
    completion: AtomicU64,
    reasoning: AtomicU64,
}

/// What of [`Sums`] a metric shows.
pub(super) type Kind = fn(&Sums) -> &AtomicU64;

impl Sums {
    /// Name, help text and value of each metric.
    pub(super) const KINDS: [(&str, &str, Kind); 4] = [
        ("prompt_tokens", "Tokens of prompts by model, as the model servers count them", |sums| &sums.prompt),
        (
            "cached_prompt_tokens",
            "Tokens of prompts that the model servers had in their prefix caches, by model",
            |sums| &sums.cached,
        ),
        ("completion_tokens", "Tokens that the model servers made, by model, as they count them", |sums| {
            &sums.completion
        }),
        (
            "reasoning_tokens",
            "Tokens that the model servers made and that are reasoning, by model, as they count them",
            |sums| &sums.reasoning,
        ),
    ];

    pub(super) fn add(&self, tokens: Tokens) {
        let Tokens { prompt, cached, completion, reasoning } = tokens;
        self.prompt.fetch_add(prompt.into(), Ordering::Relaxed);
        self.completion.fetch_add(completion.into(), Ordering::Relaxed);
        // Most answers have none of these.
        for (sum, count) in [(&self.cached, cached), (&self.reasoning, reasoning)] {
            if count > 0 {
                sum.fetch_add(count.into(), Ordering::Relaxed);
            }
        }
    }

    /// Whether nothing was ever added.
    pub(super) fn is_zero(&self) -> bool {
        Self::KINDS.iter().all(|(.., of)| of(self).load(Ordering::Relaxed) == 0)
    }
}
