//! `openai-parser`: requests of OpenAI's API are read.

use crate::parse::Parser;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;

/// Requests of OpenAI's API are read.
#[derive(Debug)]
pub struct OpenAiParser;

impl Plugin for OpenAiParser {
    const TYPE: &'static str = "openai-parser";
    const TASK: Task = Task::Formats;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Reads requests of OpenAI's API: chats, completions, embeddings, responses, conversations, rendered chats and completions, images, audio and batches. Of forms with files it reads the model alone.";
    const ROLES: &'static [Role] = &[Role::Parser];
    const SAMPLE: &'static str = "\
plugins:
- type: openai-parser
- type: queue-scorer
requestHandler:
  parsers: [{pluginRef: openai-parser}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { parser: Some(Parser::OpenAi), ..Roles::default() })
    }
}
