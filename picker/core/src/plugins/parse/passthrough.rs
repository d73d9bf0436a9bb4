//! `passthrough-parser`: bodies go on unread.

use crate::parse::Parser;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;

/// Bodies go on unread.
#[derive(Debug)]
pub struct PassthroughParser;

impl Plugin for PassthroughParser {
    const TYPE: &'static str = "passthrough-parser";
    const TASK: Task = Task::Formats;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Reads nothing: bodies that no other parser has go on unread, and plugins that look at models and prompts find none.";
    const ROLES: &'static [Role] = &[Role::Parser];
    const SAMPLE: &'static str = "\
plugins:
- type: passthrough-parser
- type: queue-scorer
requestHandler:
  parsers: [{pluginRef: passthrough-parser}]
";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { parser: Some(Parser::Passthrough), ..Roles::default() })
    }
}
