//! `vertexai-parser`: requests of Vertex AI's prediction service are read.

use crate::parse::Parser;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;

/// Requests of Vertex AI's prediction service are read.
#[derive(Debug)]
pub struct VertexAiParser;

impl Plugin for VertexAiParser {
    const TYPE: &'static str = "vertexai-parser";
    const TASK: Task = Task::Formats;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Reads requests of Vertex AI's PredictionService: the JSON in messages of ChatCompletions, RawPredict and StreamRawPredict, over gRPC and over HTTP.";
    const ROLES: &'static [Role] = &[Role::Parser];
    const SAMPLE: &'static str = "\
plugins:
- type: vertexai-parser
- type: queue-scorer
requestHandler:
  parsers: [{pluginRef: vertexai-parser}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { parser: Some(Parser::VertexAi), ..Roles::default() })
    }
}
