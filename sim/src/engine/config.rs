//! What an engine is made of, and engines worth simulating.

use super::error::ConfigError;
use super::rates::StepRates;

/// Size and speed of one engine.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineConfig {
    /// Tokens a KV block holds.
    pub block_size: u32,
    /// KV blocks there are.
    pub num_blocks: u32,
    /// Sequences that run at most at the same time.
    pub max_num_seqs: u32,
    /// Tokens that one step computes at most; a longer prompt is prefilled in chunks.
    pub max_batched_tokens: u32,
    /// Tokens of prompt and answer together at most. KV memory may set a lower limit.
    pub max_model_len: u32,
    /// Different LoRA adapters that run at most at the same time.
    pub max_loras: u32,
    /// Whether full blocks are kept and found again.
    pub prefix_caching: bool,
    /// How long a step takes.
    pub rates: StepRates,
}

impl EngineConfig {
    /// Tokens of prompt and answer together that fit: the model's limit or all of KV memory, whichever is less.
    pub fn context_limit(&self) -> u32 {
        self.max_model_len.min(self.num_blocks.saturating_mul(self.block_size))
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("block_size", self.block_size),
            ("num_blocks", self.num_blocks),
            ("max_num_seqs", self.max_num_seqs),
            ("max_batched_tokens", self.max_batched_tokens),
            ("max_model_len", self.max_model_len),
        ];
        if let Some((field, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(ConfigError::Zero(field));
        }
        self.rates.validate()
    }
}

/// Engines to begin from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// One millisecond a step: for tests of what surrounds a model server.
    Fast,
    /// An 8B model on one H100 (estimated): about 40,000 prompt tokens a second, 9 ms a token at low load.
    #[value(name = "8b-h100")]
    H100x8b,
    /// Qwen3-32B on two H100: 15,928 prompt tokens a second and 307,328 tokens of KV memory, as published; 20 ms a
    /// token at low load.
    #[value(name = "32b-2xh100")]
    H100x32b,
}

impl Preset {
    /// The engine of this name.
    pub fn config(self) -> EngineConfig {
        let (num_blocks, rates) = match self {
            Self::Fast => (8_192, [1e-3, 2e-6, 1e-5, 0.0]),
            Self::H100x8b => (27_000, [8e-3, 2.5e-5, 3e-5, 4e-8]),
            Self::H100x32b => (19_208, [18e-3, 6.2e-5, 5e-5, 6e-8]),
        };
        let [base, prefill_token, decode_sequence, context_token] = rates;
        EngineConfig {
            block_size: 16,
            num_blocks,
            max_num_seqs: 256,
            max_batched_tokens: 8_192,
            max_model_len: 131_072,
            max_loras: 4,
            prefix_caching: true,
            rates: StepRates { base, prefill_token, decode_sequence, context_token, jitter: 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid() {
        for preset in [Preset::Fast, Preset::H100x8b, Preset::H100x32b] {
            assert_eq!(preset.config().validate(), Ok(()));
        }
    }

    #[test]
    fn names_the_size_that_is_zero() {
        let config = EngineConfig { max_num_seqs: 0, ..Preset::Fast.config() };
        assert_eq!(config.validate().unwrap_err().to_string(), "max_num_seqs must be at least 1");
    }

    #[test]
    fn memory_limits_the_context() {
        let config = EngineConfig { num_blocks: 10, ..Preset::Fast.config() };
        assert_eq!(config.context_limit(), 160);
    }
}
