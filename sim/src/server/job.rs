//! A request of either API, checked and ready to be computed.

use http::HeaderMap;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::answer::{Answer, Limits};
use super::api::{Api, Sampling};
use super::app::App;
use super::driver::Submission;
use super::error::ApiError;
use super::models::Model;
use crate::engine::{Prompt, Request, SequenceId, SubmitError, cache_seed};

/// Choices that one request may ask for, prompts times `n`.
const MAX_CHOICES: usize = 1_024;

/// One HTTP request: its answers and how to write them.
#[derive(Debug)]
pub(super) struct Job {
    pub api: Api,
    pub id: String,
    /// As the client called it.
    pub model: String,
    pub stream: bool,
    pub include_usage: bool,
    /// Whether every chunk of a stream tells it.
    pub continuous_usage: bool,
    /// How much of an answer counts as reasoning, in quarters.
    reasoning_quarters: Option<u32>,
    /// In the order of `choices[].index`.
    pub answers: Vec<Answer>,
    /// Of all prompts together.
    pub prompt_tokens: u32,
}

impl Job {
    /// Checks `sampling`, and makes `n` sequences of each of `prompts`.
    pub fn new(
        app: &App,
        api: Api,
        headers: &HeaderMap,
        sampling: Sampling,
        prompts: &[Vec<u32>],
    ) -> Result<(Self, Vec<Submission>), ApiError> {
        let model = app.models.find(sampling.model.as_deref())?;
        let n = sampling.choices()?;
        if prompts.is_empty() {
            return Err(SubmitError::EmptyPrompt.into());
        }
        if prompts.len().saturating_mul(n) > MAX_CHOICES {
            let message = format!("prompts times n must be at most {MAX_CHOICES}");
            return Err(ApiError::bad_request(Some("n"), message));
        }
        let mut job = Self {
            id: format!("{}-{}", api.id_prefix(), app.identity.request_id(headers)),
            model: sampling.model.clone().unwrap_or_else(|| app.models.base().to_owned()),
            stream: sampling.stream.unwrap_or(false),
            include_usage: sampling.include_usage(),
            continuous_usage: sampling.continuous_usage(),
            reasoning_quarters: sampling.reasoning_quarters(),
            answers: Vec::with_capacity(n),
            prompt_tokens: 0,
            api,
        };
        let mut submissions = Vec::with_capacity(n);
        for tokens in prompts {
            job.add(app, &model, &sampling, tokens, n, &mut submissions)?;
        }
        Ok((job, submissions))
    }

    /// The `usage` of its response. The prompt of `n` answers counts once, as do its cached tokens.
    pub fn usage(&self, cached_tokens: u32) -> Value {
        let completion: u32 = self.answers.iter().map(|answer| answer.tokens).sum();
        let mut usage = json!({
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + completion,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": cached_tokens.min(self.prompt_tokens)},
        });
        if let Some(quarters) = self.reasoning_quarters {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": completion * quarters / 4});
        }
        usage
    }

    fn add(
        &mut self,
        app: &App,
        model: &Model<'_>,
        sampling: &Sampling,
        tokens: &[u32],
        n: usize,
        submissions: &mut Vec<Submission>,
    ) -> Result<(), ApiError> {
        let limits = limits(app, self.api, sampling, tokens.len())?;
        let seed = cache_seed(model.name, sampling.cache_salt.as_deref());
        let prompt = Prompt::new(seed, tokens, app.config.engine.block_size);
        self.prompt_tokens = self.prompt_tokens.saturating_add(prompt.tokens());
        let sampled = prompt.fingerprint() ^ sampling.seed.unwrap_or(0) as u64;
        for choice in 0..n as u64 {
            let seed = xxh3_64_with_seed(&choice.to_le_bytes(), sampled);
            let answer = Answer::new(seed, app.config.output_tokens, &limits);
            submissions.push(Submission {
                request: Request {
                    id: SequenceId(0),
                    prompt: prompt.clone(),
                    output_seed: answer.seed(),
                    output_tokens: answer.tokens,
                    lora: model.lora,
                },
                finish_reason: answer.finish_reason,
            });
            self.answers.push(answer);
        }
        Ok(())
    }
}

fn limits(app: &App, api: Api, sampling: &Sampling, prompt: usize) -> Result<Limits, ApiError> {
    let limit = app.config.engine.context_limit();
    if prompt == 0 {
        return Err(SubmitError::EmptyPrompt.into());
    }
    let left =
        u32::try_from(prompt).ok().and_then(|prompt| limit.checked_sub(prompt)).filter(|left| *left > 0);
    let Some(left) = left else {
        let message = format!(
            "This model's maximum context length is {limit} tokens. However, your request has {prompt} input tokens. \
             Please reduce the length of the input messages."
        );
        return Err(ApiError::bad_request(Some("input_tokens"), message));
    };
    let max_tokens = match sampling.max_tokens()? {
        Some(asked) if asked > left => {
            let message = format!(
                "'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length is \
                 {limit} tokens and your request has {prompt} input tokens ({asked} > {limit} - {prompt})."
            );
            return Err(ApiError::bad_request(Some("max_tokens"), message));
        }
        Some(asked) => asked,
        None => api.default_max_tokens().unwrap_or(left).min(left),
    };
    Ok(Limits {
        max_tokens,
        min_tokens: sampling.min_tokens.unwrap_or(0).min(max_tokens),
        ignore_eos: sampling.ignore_eos.unwrap_or(false),
        stop: sampling.stop(),
    })
}
