//! How many images, audio and video of a prompt each endpoint has in its encoder cache.

use smallvec::SmallVec;

use super::Fact;

/// How many images, audio and video of a prompt each endpoint is believed to have in its encoder cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncoderCacheMatch {
    /// Hashes of those of the prompt, each once.
    pub items: SmallVec<[u64; 4]>,
    /// How many of them the endpoint at the same position of the view has; empty when nothing is known of any.
    pub matched: Vec<u32>,
}

impl EncoderCacheMatch {
    /// The part of them that the endpoint at position `endpoint` of the view has, 0 to 1; 0 where there are none.
    pub fn share(&self, endpoint: usize) -> f32 {
        let matched = self.matched.get(endpoint).copied().unwrap_or(0);
        if self.items.is_empty() { 0.0 } else { matched as f32 / self.items.len() as f32 }
    }
}

impl Fact for EncoderCacheMatch {
    const NAME: &'static str = "encoder cache match";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("mm-embeddings-cache-producer");

    fn clear(&mut self) {
        self.items.clear();
        self.matched.clear();
    }
}
