//! `vllmgrpc-parser`: requests of vLLM's gRPC API are read.

use crate::parse::Parser;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;

/// Requests of vLLM's gRPC API are read.
#[derive(Debug)]
pub struct VllmGrpcParser;

impl Plugin for VllmGrpcParser {
    const TYPE: &'static str = "vllmgrpc-parser";
    const TASK: Task = Task::Formats;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Reads requests of vLLM's gRPC API: the token ids or the text of Generate and Embed, compressed ones too. Of a stream the first message is read.";
    const ROLES: &'static [Role] = &[Role::Parser];
    const SAMPLE: &'static str = "\
plugins:
- type: vllmgrpc-parser
- type: queue-scorer
requestHandler:
  parsers: [{pluginRef: vllmgrpc-parser}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { parser: Some(Parser::VllmGrpc), ..Roles::default() })
    }
}
