//! Prompts as the engine sees them: a length, and the hashes of their full blocks.

use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// The seed of a chain of block hashes. Blocks are shared only between requests for the same model or adapter with the
/// same cache salt, as in vLLM.
pub fn cache_seed(model: &str, salt: Option<&str>) -> u64 {
    let seed = xxh3_64_with_seed(model.as_bytes(), 0);
    salt.map_or(seed, |salt| xxh3_64_with_seed(salt.as_bytes(), seed))
}

/// The hash of one full block after the block `parent`.
pub(super) fn block_hash(parent: u64, tokens: &[u32]) -> u64 {
    let mut hasher = Xxh3::with_seed(parent);
    for token in tokens {
        hasher.update(&token.to_le_bytes());
    }
    hasher.digest()
}

/// A prompt: its length, the chained hashes of its full blocks, and the tokens after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    seed: u64,
    tokens: u32,
    hashes: Arc<[u64]>,
    tail: Arc<[u32]>,
}

impl Prompt {
    /// The prompt of these token ids. `seed` is [`cache_seed`]; `block_size` must be the engine's, and at least 1.
    pub fn new(seed: u64, tokens: &[u32], block_size: u32) -> Self {
        let blocks = tokens.chunks_exact(block_size as usize);
        let tail = blocks.remainder().into();
        let hashes = blocks
            .scan(seed, |parent, block| {
                *parent = block_hash(*parent, block);
                Some(*parent)
            })
            .collect();
        Self { seed, tokens: tokens.len() as u32, hashes, tail }
    }

    /// A prompt of `tokens` tokens of which only block hashes are known, as in published traces: `hashes` are those of
    /// its full blocks of the engine's size, each already a hash of everything before it. Hashes past `tokens` are cut.
    pub fn from_hashes(hashes: &[u64], tokens: u32, block_size: u32) -> Self {
        let full = ((tokens / block_size) as usize).min(hashes.len());
        let rest = tokens as usize - full * block_size as usize;
        let seed = hashes.first().copied().unwrap_or_default();
        Self { seed, tokens, hashes: hashes[..full].into(), tail: vec![0; rest].into() }
    }

    /// Its length in tokens.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// A number that only prompts with the same content share.
    pub fn fingerprint(&self) -> u64 {
        block_hash(self.hashes.last().copied().unwrap_or(self.seed), &self.tail)
    }

    /// Hashes of its full blocks, in order.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The hashes that a cache may answer: at least the last token must be computed, to have something to sample from.
    pub(super) fn reusable_hashes(&self, block_size: u32) -> &[u64] {
        let reusable = self.tokens.saturating_sub(1) / block_size;
        &self.hashes[..self.hashes.len().min(reusable as usize)]
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn tail(&self) -> &[u32] {
        &self.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_everything_before_them() {
        let one = Prompt::new(1, &[1, 2, 3, 4, 5, 6, 7], 2);
        let other = Prompt::new(1, &[1, 2, 9, 4, 5, 6, 7], 2);
        assert_eq!((one.tokens(), one.hashes().len(), one.tail()), (7, 3, &[7][..]));
        assert_eq!(one.hashes()[0], other.hashes()[0]);
        assert_ne!(one.hashes()[1], other.hashes()[1]);
        assert_ne!(one.hashes()[2], other.hashes()[2]);
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn models_and_salts_share_nothing() {
        let seeds = [
            cache_seed("a", None),
            cache_seed("b", None),
            cache_seed("a", Some("x")),
            cache_seed("a", Some("y")),
        ];
        let mut first: Vec<u64> =
            seeds.iter().map(|seed| Prompt::new(*seed, &[1, 2], 2).hashes()[0]).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), seeds.len());
    }

    #[test]
    fn the_last_token_is_never_reused() {
        let prompt = Prompt::new(0, &[1, 2, 3, 4], 2);
        assert_eq!((prompt.hashes().len(), prompt.reusable_hashes(2).len()), (2, 1));
    }

    #[test]
    fn a_trace_gives_hashes_without_tokens() {
        let prompt = Prompt::from_hashes(&[7, 8, 9], 5, 2);
        assert_eq!((prompt.tokens(), prompt.hashes(), prompt.tail()), (5, &[7, 8][..], &[0][..]));
    }
}
