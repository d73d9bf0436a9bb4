//! `file-discovery`: endpoints from a file.

use crate::discovery::FileDiscovery;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};

/// Names the file that the endpoints are in. The picker reads it.
#[derive(Debug)]
pub struct FileDiscoveryPlugin;

impl Plugin for FileDiscoveryPlugin {
    const TYPE: &'static str = "file-discovery";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str =
        "Takes the endpoints from a file. Named in dataLayer.discovery of a configuration file.";
    const ROLES: &'static [Role] = &[Role::Discovery];
    const SAMPLE: &'static str = "\
plugins:
- type: file-discovery
  parameters: {path: endpoints.yaml, watchFile: true}
- type: queue-scorer
dataLayer:
  discovery: {pluginRef: file-discovery}
";
    type Params = FileDiscovery;

    fn build(params: FileDiscovery, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.path.is_empty() {
            return Err(BuildError::invalid("path", "must not be empty"));
        }
        cx.file("path", &params.path);
        Ok(Roles { discovery: Some(params), ..Roles::default() })
    }
}
