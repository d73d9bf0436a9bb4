//! Where endpoints come from when it is not an InferencePool.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plugin::{BuildCx, BuildError, Plugin, Role, Roles};

/// Endpoints from a file, without Kubernetes. The file is read by the picker, not here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDiscovery {
    /// Path of a YAML or JSON file with a list `endpoints` of `{name, namespace, address, port, labels}`.
    pub path: String,
    /// Whether changes of the file take effect while the picker runs.
    #[serde(default)]
    pub watch_file: bool,
}

impl Plugin for FileDiscovery {
    const TYPE: &'static str = "file-discovery";
    const SUMMARY: &'static str =
        "Takes the endpoints from a file. Named in dataLayer.discovery of a configuration file.";
    const ROLES: &'static [Role] = &[Role::Discovery];
    type Params = Self;

    fn build(params: Self, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.path.is_empty() {
            return Err(BuildError::invalid("path", "must not be empty"));
        }
        Ok(Roles { discovery: Some(params), ..Roles::default() })
    }
}
