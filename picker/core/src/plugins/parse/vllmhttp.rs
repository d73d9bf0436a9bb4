//! `vllmhttp-parser`: requests of vLLM's own HTTP API are read.

use crate::parse::Parser;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;

/// Requests of vLLM's own HTTP API are read.
#[derive(Debug)]
pub struct VllmHttpParser;

impl Plugin for VllmHttpParser {
    const TYPE: &'static str = "vllmhttp-parser";
    const TASK: Task = Task::Formats;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Reads requests that vLLM's HTTP server takes beyond OpenAI's API: the token ids of inference/v1/generate, rerank, score, classify, pooling, tokenize and detokenize.";
    const ROLES: &'static [Role] = &[Role::Parser];
    const SAMPLE: &'static str = "\
plugins:
- type: vllmhttp-parser
- type: queue-scorer
requestHandler:
  parsers: [{pluginRef: vllmhttp-parser}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { parser: Some(Parser::VllmHttp), ..Roles::default() })
    }
}
