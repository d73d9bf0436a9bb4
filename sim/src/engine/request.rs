//! What goes into an engine, and what comes out.

use std::time::Duration;

use thiserror::Error;

use super::Prompt;

/// A sequence's name, unique among those in the engine. The caller chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// Number of a LoRA adapter. The caller keeps the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoraId(pub u32);

/// One sequence to compute.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name.
    pub id: SequenceId,
    /// What is asked.
    pub prompt: Prompt,
    /// Decides the words of the answer; see [`crate::vocabulary`].
    pub output_seed: u64,
    /// Length of the answer, at least 1.
    pub output_tokens: u32,
    /// The adapter it needs, or the base model.
    pub lora: Option<LoraId>,
}

/// Why a request could never run.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SubmitError {
    /// There is nothing to compute from.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// There is nothing to generate.
    #[error("the answer must have at least one token")]
    EmptyOutput,
    /// It needs an adapter, and the engine holds none.
    #[error("the engine has no room for LoRA adapters (max_loras is 0)")]
    NoLoras,
    /// More tokens than the model or its memory holds.
    #[error("{tokens} tokens of prompt and answer exceed the limit of {limit}")]
    TooLong {
        /// Prompt and answer together.
        tokens: u32,
        /// What fits.
        limit: u32,
    },
}

/// One token that a step generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Whose token.
    pub id: SequenceId,
    /// Its position in the answer, from 0.
    pub index: u32,
    /// Tokens of the prompt that came from the prefix cache when the sequence was first admitted.
    pub cached_tokens: u32,
    /// Set with the last token.
    pub finished: Option<Finished>,
}

/// The story of a finished sequence. Times are the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Length of the prompt.
    pub prompt_tokens: u32,
    /// Length of the answer.
    pub output_tokens: u32,
    /// When it was submitted.
    pub arrived: Duration,
    /// When its first step began.
    pub admitted: Duration,
    /// When its first token came.
    pub first_token: Duration,
    /// When its last token came.
    pub ended: Duration,
}

/// What one call of [`Engine::step`](super::Engine::step) did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOutcome {
    /// The tokens of the step that ended, one a sequence, in order of admission.
    pub outputs: Vec<Output>,
    /// When the step now in flight ends; `None` when there is nothing to do.
    pub next: Option<Duration>,
}
