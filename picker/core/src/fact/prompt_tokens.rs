//! The tokens of a prompt, and the images, audio and video in it.

use super::Fact;
use crate::parse::media::MediaKind;
use crate::request::Request;

/// The most bytes of tokens that are kept for the next request on the same thread.
const KEPT: usize = 1 << 20;

/// The tokens of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptTokens {
    /// How many there are, those of images, audio and video included; `None` where nobody counted.
    pub count: Option<u64>,
    /// What stands for the prompt where prefixes are compared: tokens of four bytes each, little-endian. Empty where the
    /// bytes of the prompt do.
    pub bytes: Vec<u8>,
    /// Images, audio and video, in the order in which they stand in the prompt, the first ones of very many.
    pub media: Vec<MediaItem>,
    /// Whether they are those of the model, and no estimate.
    pub exact: bool,
}

/// An image, a sound or a video in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaItem {
    /// What it is.
    pub kind: MediaKind,
    /// Hash of its content, or of its name.
    pub hash: u64,
    /// Tokens of the prompt that stand for it.
    pub tokens: u64,
}

impl PromptTokens {
    /// How many tokens the prompt of `request` has: what was counted, or else the estimate by its bytes.
    pub fn count(&self, request: &Request) -> u64 {
        self.count.unwrap_or_else(|| request.estimated_prompt_tokens())
    }
}

impl Fact for PromptTokens {
    const NAME: &'static str = "count of tokens";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("token-producer");

    fn clear(&mut self) {
        (self.count, self.exact) = (None, false);
        self.media.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }
}
