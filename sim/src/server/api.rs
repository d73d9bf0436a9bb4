//! The two APIs: what their requests hold, and what their answers look like.

mod chat;
mod completion;
mod content;
mod sampling;

pub(super) use self::chat::ChatRequest;
pub(super) use self::completion::CompletionRequest;
pub(super) use self::sampling::Sampling;

/// Which API a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completion,
}

impl Api {
    pub fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl",
            Self::Completion => "cmpl",
        }
    }

    /// The value of `object`, whole or in a stream.
    pub fn object(self, stream: bool) -> &'static str {
        match (self, stream) {
            (Self::Chat, false) => "chat.completion",
            (Self::Chat, true) => "chat.completion.chunk",
            (Self::Completion, _) => "text_completion",
        }
    }

    /// The limit when the client names none; `None` is whatever fits.
    pub fn default_max_tokens(self) -> Option<u32> {
        match self {
            Self::Chat => None,
            Self::Completion => Some(16),
        }
    }
}
