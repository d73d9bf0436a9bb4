//! Totals of an engine since it was made.

/// Totals since the engine was made. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Steps begun.
    pub steps: u64,
    /// Prompt tokens computed, those of recomputed sequences included and cached ones left out.
    pub prefill_tokens: u64,
    /// Tokens generated.
    pub generated_tokens: u64,
    /// Tokens looked up in the prefix cache: those of every admitted sequence.
    pub cache_queries: u64,
    /// Of these, the tokens found.
    pub cache_hits: u64,
    /// Sequences that lost their memory to an older one and had to begin again.
    pub preemptions: u64,
    /// Sequences that generated their whole answer.
    pub finished: u64,
    /// Sequences that were taken out before.
    pub aborted: u64,
}
