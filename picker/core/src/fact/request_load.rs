//! Tokens that a request costs each endpoint.

use super::Fact;
use crate::inputs::Inputs;

/// Tokens that a request costs each endpoint: those of its prompt that the endpoint has to compute, and those of its
/// answer where they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLoad {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of the answer, as estimated; 0 where they don't count.
    pub output: u64,
    /// Tokens of the prompt that the endpoint at the same position of the view does not have in its prefix cache; empty
    /// when nothing is known of any, and all have to compute the whole prompt.
    pub uncached: Vec<u64>,
}

impl RequestLoad {
    /// Tokens that the request costs the endpoint at position `endpoint` of the view as its destination.
    pub fn tokens(&self, endpoint: usize) -> u64 {
        self.prompt_tokens(endpoint).saturating_add(self.output)
    }

    /// Tokens that it costs that endpoint as one that answers nothing: a prefill or an encode server.
    pub fn prompt_tokens(&self, endpoint: usize) -> u64 {
        self.uncached.get(endpoint).copied().unwrap_or(self.prompt)
    }
}

impl Fact for RequestLoad {
    const NAME: &'static str = "request load";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("inflight-load-producer");

    fn clear(&mut self) {
        self.prompt = 0;
        self.output = 0;
        self.uncached.clear();
    }

    fn inputs(&self, inputs: &mut Inputs<'_>) {
        inputs.number("requestTokens", |i| self.tokens(i) as f32);
    }
}
