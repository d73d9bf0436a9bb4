//! `sglanghttp-parser`: requests of SGLang's own API are read.

use crate::parse::Parser;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;

/// Requests of SGLang's own API are read.
#[derive(Debug)]
pub struct SglangHttpParser;

impl Plugin for SglangHttpParser {
    const TYPE: &'static str = "sglanghttp-parser";
    const TASK: Task = Task::Formats;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Reads requests of SGLang's own API: the text or the token ids of /generate, with extra_key as the salt of the cache. Another model is never written into them.";
    const ROLES: &'static [Role] = &[Role::Parser];
    const SAMPLE: &'static str = "\
plugins:
- type: sglanghttp-parser
- type: queue-scorer
requestHandler:
  parsers: [{pluginRef: sglanghttp-parser}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { parser: Some(Parser::SglangHttp), ..Roles::default() })
    }
}
