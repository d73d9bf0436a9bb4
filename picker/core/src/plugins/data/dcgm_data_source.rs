//! `dcgm-data-source`: where the metrics of accelerators are.

use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Page, Scheme};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::scrape::{MetricsSource, SourceKind};

/// Parameters of `dcgm-data-source`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// `http` (the default) or `https`.
    scheme: Option<Scheme>,
    /// Path of the page. Default: `/metrics`.
    path: Option<String>,
    /// Port of the exporter. Default: 9400.
    #[schemars(range(min = 1))]
    port: Option<u16>,
    /// Whether the exporter is asked at the address of the pod's node, where it runs once for all pods of the node
    /// (DaemonSet), instead of at that of the pod, where it is a sidecar. Series that name another pod don't count then, for
    /// which the exporter needs `DCGM_EXPORTER_KUBERNETES=true`. Of endpoints from a file no node is known: their utilization
    /// stays unknown.
    use_node_address: bool,
    /// Whether the certificates of exporters are not checked. For `https`. Without it, `true`, with a warning.
    insecure_skip_verify: Option<bool>,
    /// File in the picker's pod with the certificates of authorities that are believed, in PEM. For `https` with
    /// `insecureSkipVerify: false`; without it, the authorities of the web are believed.
    ca_cert_path: String,
    /// File in the picker's pod with the certificate that exporters are shown, in PEM. For `https`.
    client_cert_path: String,
    /// File in the picker's pod with the key of that certificate, in PEM.
    client_key_path: String,
    /// Time from one page to the next, for example `5s`, rounded to a multiple of the interval that the picker is started
    /// with. Default: 1 s (llm-d: every 50 ms). Each port of a pod asks for itself.
    interval: String,
}

/// Names the pages. The picker fetches them.
#[derive(Debug)]
pub struct DcgmDataSource;

impl Plugin for DcgmDataSource {
    const TYPE: &'static str = "dcgm-data-source";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Says where NVIDIA's DCGM exporter tells how busy the accelerators of endpoints are. With a dcgm-extractor it becomes the attribute GPUUtilization.";
    const ROLES: &'static [Role] = &[Role::DataSource];
    const SAMPLE: &'static str = "\
plugins:
- type: dcgm-data-source
  parameters: {useNodeAddress: true, interval: 5s}
- type: dcgm-extractor
- type: endpoint-attribute-scorer
  parameters:
    attributeKey: GPUUtilization
    producer: dcgm-extractor
    algorithm:
      type: linear_lower_is_better
      normalization: {fixedRange: {min: 0, max: 1}}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let page = Page {
            scheme: Some(params.scheme.unwrap_or(Scheme::Http)),
            path: params.path,
            port: params.port,
            insecure_skip_verify: params.insecure_skip_verify,
            ca_cert_path: params.ca_cert_path,
            client_cert_path: params.client_cert_path,
            client_key_path: params.client_key_path,
            interval: params.interval,
        };
        let source = page.source(SourceKind::Dcgm, cx)?;
        let source = MetricsSource { at_node: params.use_node_address, ..source };
        Ok(Roles { data_source: Some(source), ..Roles::default() })
    }
}

#[cfg(test)]
mod tests;
