//! `anthropic-parser`: requests of Anthropic's Messages API are read.

use crate::parse::Parser;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;

/// Requests of Anthropic's Messages API are read.
#[derive(Debug)]
pub struct AnthropicParser;

impl Plugin for AnthropicParser {
    const TYPE: &'static str = "anthropic-parser";
    const TASK: Task = Task::Formats;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Reads requests of Anthropic's Messages API: the model and the prompt of v1/messages, and the model of v1/messages/count_tokens.";
    const ROLES: &'static [Role] = &[Role::Parser];
    const SAMPLE: &'static str = "\
plugins:
- type: anthropic-parser
- type: queue-scorer
requestHandler:
  parsers: [{pluginRef: anthropic-parser}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { parser: Some(Parser::Anthropic), ..Roles::default() })
    }
}
