//! `multicluster-file-discovery`: pools of other clusters as endpoints, from a file.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::discovery::FileDiscovery;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};

/// Parameters of `multicluster-file-discovery`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// Path of a YAML or JSON file with a list `endpoints` of `{name, namespace, address, port, labels}`. An address is that
    /// of a cluster's gateway: an IP address or the name of a host, which is looked up when the file is read and every 30
    /// seconds after that. Requests go to the address that was found: the gateway is not told the name, as by llm-d. Labels
    /// `metricsAddress` (address or name) and `metricsPort` say where the endpoint picker of that cluster has its metrics,
    /// where this is not the address and the port of the endpoint.
    path: String,
    /// Whether changes of the file take effect while the picker runs.
    #[serde(default)]
    watch_file: bool,
}

/// Names the file that the endpoints are in. The picker reads it.
#[derive(Debug)]
pub struct MulticlusterFileDiscovery;

impl Plugin for MulticlusterFileDiscovery {
    const TYPE: &'static str = "multicluster-file-discovery";
    const TASK: Task = Task::Clusters;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Takes the pools of other clusters as endpoints from a file, by the addresses or the names of their gateways. Named in dataLayer.discovery of a configuration file.";
    const ROLES: &'static [Role] = &[Role::Discovery];
    const SAMPLE: &'static str = "\
plugins:
- type: multicluster-file-discovery
  parameters: {path: clusters.yaml, watchFile: true}
- type: random-picker
dataLayer:
  discovery: {pluginRef: multicluster-file-discovery}
";
    type Params = Params;

    fn build(Params { path, watch_file }: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if path.is_empty() {
            return Err(BuildError::invalid("path", "must not be empty"));
        }
        cx.file("path", &path);
        let discovery = FileDiscovery { path, watch_file, host_names: true };
        Ok(Roles { discovery: Some(discovery), ..Roles::default() })
    }
}
