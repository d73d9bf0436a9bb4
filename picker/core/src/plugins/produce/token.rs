//! `token-producer`: how many tokens a prompt has.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::ask::Ask;
use crate::fact::{Own, PromptTokens, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::tokens::estimate::Estimate;
use crate::plugins::tokens::renders::Renders;
use crate::plugins::tokens::vllm::Vllm;
use crate::role::{Preparer, Producer};
use crate::store::Shape;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `token-producer`. At most one of `estimate` and `vllm` is given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The model whose tokens a render server counts, by the name that it has there. Required with `vllm`; alone it stands
    /// for a `vllm` with nothing in it.
    model_name: String,
    /// Estimates tokens: four bytes of the prompt each, and for each image, sound and video as many as is said here. What is
    /// done without any parameter.
    estimate: Option<Estimate>,
    /// Asks a vLLM render server for the tokens of each prompt. Requests of chats, completions, responses and Anthropic's
    /// Messages API are asked about (llm-d: the first two, and messages as chats). Where there is no answer in time, tokens
    /// are estimated.
    vllm: Option<Vllm>,
    /// A tokenizer of former releases of llm-d Router, which is not asked: tokens are estimated.
    #[schemars(extend("deprecated" = true))]
    uds_tokenizer_config: Option<Value>,
}

/// Counts the tokens of prompts: what a render server has said of one, or an estimate.
#[derive(Debug)]
pub struct TokenProducer {
    tokens: Slot<PromptTokens>,
    estimate: Estimate,
}

impl Plugin for TokenProducer {
    const TYPE: &'static str = "token-producer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::LlmD;
    const ALIASES: &'static [&'static str] = &["tokenizer"];
    const SUMMARY: &'static str = "Counts the tokens of prompts, those of images, audio and video included, for the plugins that weigh prompts: by \
         an estimate, or by a render server. Without one, prompts count by their bytes, and images within them too. A render \
         server that fails three times in a row is left alone for a second and more; 256 requests at most wait for it.";
    const FORMULA: &'static str = "Estimate: bytes of text / 4; of an image width × height / factor; of a video frames × tokens of a frame, where \
         frames = seconds × sampleFPS / temporalPatchSize or seconds × frames per second / frameStride, within minFrames and \
         maxFrames; of a sound its bytes as base64 / 4. At least 1 each, and at most 131072 for all images, audio and video of a request.";
    const ROLES: &'static [Role] = &[Role::Preparer, Role::Producer];
    const SAMPLE: &'static str = "\
plugins:
- type: token-producer
  parameters:
    modelName: Qwen/Qwen3-8B
    vllm: {url: \"http://vllm-render.default.svc:8000\", timeout: 2s}
- type: context-length-aware
- type: prefix-cache-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { model_name: model, estimate, vllm, uds_tokenizer_config: uds } = params;
        let is_uds = uds.is_some_and(|uds| uds["socketFile"].as_str().is_some_and(|file| !file.is_empty()));
        if is_uds {
            let message = "has no effect: tokens are estimated; write vllm: {url: …} for a render server, or take it out";
            cx.warn("udsTokenizerConfig", message);
        }
        if estimate.is_some() && (vllm.is_some() || !model.is_empty() && !is_uds) {
            let message = "is given beside a render server (vllm, modelName); take one of them out";
            return Err(BuildError::invalid("estimate", message));
        }
        if vllm.is_some() && is_uds {
            return Err(BuildError::invalid("vllm", "is given beside udsTokenizerConfig; take that out"));
        }
        if vllm.is_some() && model.is_empty() {
            return Err(BuildError::invalid(
                "modelName",
                "is required with vllm: the name of the model there",
            ));
        }
        let tokens = cx.provides();
        let mut preparer: Option<Arc<dyn Preparer>> = None;
        if !model.is_empty() && !is_uds {
            let vllm = vllm.unwrap_or_default();
            let renders = cx.state(Shape(format!("{model} {vllm:?}")), Renders::default);
            preparer = Some(Arc::new(vllm.asker(&model, tokens, renders)?));
        }
        let producer = Arc::new(Self { tokens, estimate: estimate.unwrap_or_default() });
        Ok(Roles { preparer, producer: Some(producer), needs: Needs::BODY, ..Roles::default() })
    }
}

impl Producer for TokenProducer {
    fn produce(&self, ask: &Ask<'_>, _: &Candidates, own: &mut Own) {
        let tokens = own.get_mut(self.tokens);
        if tokens.count.is_none() {
            self.estimate.count(ask.request, tokens);
        }
    }
}
