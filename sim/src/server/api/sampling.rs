//! The fields that both APIs share.

use serde::Deserialize;

use crate::server::error::ApiError;

/// Fields that both APIs share. Those that a simulation has no use for (temperature and the like) are ignored.
#[derive(Debug, Default, Deserialize)]
pub(in crate::server) struct Sampling {
    pub model: Option<String>,
    pub stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<i64>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    pub min_tokens: Option<u32>,
    pub ignore_eos: Option<bool>,
    stop: Option<Stop>,
    pub seed: Option<i64>,
    pub cache_salt: Option<String>,
    reasoning_effort: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
    continuous_usage_stats: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

impl Sampling {
    /// How many answers a prompt gets.
    pub fn choices(&self) -> Result<usize, ApiError> {
        let n = self.n.unwrap_or(1);
        usize::try_from(n)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| ApiError::bad_request(Some("n"), format!("n must be at least 1, got {n}.")))
    }

    /// The limit that the client set; the newer field wins.
    pub fn max_tokens(&self) -> Result<Option<u32>, ApiError> {
        let Some(asked) = self.max_completion_tokens.or(self.max_tokens) else { return Ok(None) };
        if asked < 1 {
            let message = format!("max_tokens must be at least 1, got {asked}.");
            return Err(ApiError::bad_request(Some("max_tokens"), message));
        }
        Ok(Some(u32::try_from(asked).unwrap_or(u32::MAX)))
    }

    /// Whether a stream ends with a chunk that tells the usage.
    pub fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false)
    }

    /// Whether every chunk of a stream tells the usage up to it. As in vLLM, only with [`Sampling::include_usage`].
    pub fn continuous_usage(&self) -> bool {
        let asked = self.stream_options.as_ref().and_then(|options| options.continuous_usage_stats);
        self.include_usage() && asked.unwrap_or(false)
    }

    /// How much of an answer counts as reasoning, in quarters; `None` where the client asks for none.
    pub fn reasoning_quarters(&self) -> Option<u32> {
        Some(match self.reasoning_effort.as_deref()? {
            "none" => return None,
            "minimal" | "low" => 1,
            "high" => 3,
            _ => 2,
        })
    }

    /// Texts that end an answer.
    pub fn stop(&self) -> Vec<String> {
        let all = match &self.stop {
            None => return Vec::new(),
            Some(Stop::One(one)) => std::slice::from_ref(one),
            Some(Stop::Many(many)) => many,
        };
        all.iter().filter(|stop| !stop.is_empty()).cloned().collect()
    }
}
