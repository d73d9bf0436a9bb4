//! Requests for `/v1/completions`.

use serde::Deserialize;

use crate::server::error::ApiError;
use crate::tokenizer;

/// A request for a text completion.
#[derive(Debug, Deserialize)]
pub(in crate::server) struct CompletionRequest {
    prompt: Prompt,
    echo: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "prompt must be a string, a list of strings, a list of token ids or a list of such lists"
)]
enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

impl CompletionRequest {
    /// The prompts, each to be answered.
    pub fn prompts(&self) -> Result<Vec<Vec<u32>>, ApiError> {
        if self.echo == Some(true) {
            return Err(ApiError::bad_request(Some("echo"), "echo is not simulated; leave it out."));
        }
        Ok(match &self.prompt {
            Prompt::Text(text) => vec![tokenizer::text(text)],
            Prompt::Texts(texts) => texts.iter().map(|text| tokenizer::text(text)).collect(),
            Prompt::Tokens(tokens) => vec![tokens.clone()],
            Prompt::TokenLists(lists) => lists.clone(),
        })
    }
}
