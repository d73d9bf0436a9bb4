//! The base model and its adapters, by the names that requests give.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::error::ApiError;
use crate::engine::LoraId;

/// The names that requests may ask for.
#[derive(Debug)]
pub(super) struct Models {
    base: String,
    loras: Arc<[String]>,
    created: u64,
}

/// A model that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model<'a> {
    pub name: &'a str,
    pub lora: Option<LoraId>,
}

impl Models {
    pub fn new(base: &str, loras: Arc<[String]>) -> Self {
        Self { base: base.to_owned(), loras, created: unix_time().as_secs() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// The model of this name, or the base model when the client names none.
    pub fn find(&self, name: Option<&str>) -> Result<Model<'_>, ApiError> {
        let Some(name) = name.filter(|name| *name != self.base) else {
            return Ok(Model { name: &self.base, lora: None });
        };
        let (id, lora) = self
            .loras
            .iter()
            .enumerate()
            .find(|(_, lora)| *lora == name)
            .ok_or_else(|| ApiError::unknown_model(name))?;
        Ok(Model { name: lora, lora: Some(LoraId(id as u32)) })
    }

    /// The answer to `GET /v1/models`, where `limit` tokens of prompt and answer fit.
    pub fn list(&self, limit: u32) -> Value {
        let card = |id: &str, root: &str, parent: Option<&str>| {
            json!({
                "id": id,
                "object": "model",
                "created": self.created,
                "owned_by": "vllm",
                "root": root,
                "parent": parent,
                "max_model_len": parent.is_none().then_some(limit),
                "permission": [],
            })
        };
        let mut data = vec![card(&self.base, &self.base, None)];
        data.extend(self.loras.iter().map(|lora| card(lora, lora, Some(&self.base))));
        json!({"object": "list", "data": data})
    }
}

/// Time since 1970, for what answers and metrics say of it.
pub(super) fn unix_time() -> std::time::Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
