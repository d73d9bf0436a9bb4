//! Where endpoints come from when it is not an InferencePool.

use schemars::JsonSchema;
use serde::Deserialize;

/// Endpoints from a file, without Kubernetes. The file is read by the picker, not when a strategy is compiled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDiscovery {
    /// Path of a YAML or JSON file with a list `endpoints` of `{name, namespace, address, port, labels}`.
    pub path: String,
    /// Whether changes of the file take effect while the picker runs.
    #[serde(default)]
    pub watch_file: bool,
    /// Whether addresses may be the names of hosts.
    #[serde(skip)]
    pub host_names: bool,
}
