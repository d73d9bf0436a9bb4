//! Requests for `/v1/chat/completions`.

use serde::Deserialize;
use serde_json::Value;

use super::content::Content;
use crate::server::error::ApiError;
use crate::tokenizer::ChatTemplate;

/// A request for a chat completion.
#[derive(Debug, Deserialize)]
pub(in crate::server) struct ChatRequest {
    messages: Vec<Message>,
    tools: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Value>,
}

impl ChatRequest {
    /// The prompt that the conversation makes.
    pub fn prompt(&self) -> Result<Vec<u32>, ApiError> {
        if self.messages.is_empty() {
            return Err(ApiError::bad_request(Some("messages"), "messages must hold at least one message."));
        }
        let mut template = ChatTemplate::default();
        if let Some(tools) = self.tools.as_ref().filter(|tools| !tools.is_null()) {
            template.message("tools", &tools.to_string());
        }
        for message in &self.messages {
            let content = message.content.as_ref().map(Content::render).unwrap_or_default();
            match message.tool_calls.as_ref().filter(|calls| !calls.is_null()) {
                Some(calls) => template.message(&message.role, &format!("{content}{calls}")),
                None => template.message(&message.role, &content),
            }
        }
        Ok(template.finish())
    }
}
