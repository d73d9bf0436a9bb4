//! `multicluster-metrics-data-source`: where the endpoint pickers of other clusters tell of their pools.

use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Page, Scheme};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::scrape::SourceKind;

/// Parameters of `multicluster-metrics-data-source`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// `https` (the default) or `http`.
    scheme: Option<Scheme>,
    /// Path of the page. Default: `/metrics`.
    path: Option<String>,
    /// Whether certificates are not checked. Default: `false`; they have to be for the name of the endpoint, or of its label
    /// `metricsAddress`.
    insecure_skip_verify: bool,
    /// File in the picker's pod with the certificates of authorities that are believed, in PEM. Without it, the authorities
    /// of the web are believed.
    ca_cert_path: String,
    /// File in the picker's pod with the certificate that the other side is shown, in PEM.
    client_cert_path: String,
    /// File in the picker's pod with the key of that certificate, in PEM.
    client_key_path: String,
    /// Time from one page to the next, for example `5s`, rounded to a multiple of the interval that the picker is started
    /// with. Default: 1 s (llm-d: every 50 ms).
    interval: String,
}

/// Names the pages. The picker fetches them.
#[derive(Debug)]
pub struct MulticlusterMetricsDataSource;

impl Plugin for MulticlusterMetricsDataSource {
    const TYPE: &'static str = "multicluster-metrics-data-source";
    const TASK: Task = Task::Clusters;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Says how the endpoint pickers of other clusters are asked for the load of their pools: at the address of the endpoint, or at its labels metricsAddress and metricsPort. Pages are read up to 8 MiB.";
    const ROLES: &'static [Role] = &[Role::DataSource];
    const SAMPLE: &'static str = "\
plugins:
- type: multicluster-file-discovery
  parameters: {path: clusters.yaml}
- type: multicluster-metrics-data-source
  parameters: {caCertPath: /etc/waypost/clusters/ca.crt}
- type: multicluster-metrics-extractor
- type: endpoint-attribute-scorer
  parameters:
    attributeKey: llm-d.ai/multicluster-queue-size
    producer: multicluster-metrics-extractor
    algorithm: {type: linear_lower_is_better}
dataLayer:
  discovery: {pluginRef: multicluster-file-discovery}
";
    type Params = Params;

    /// llm-d takes it, and asks at the port of the endpoint all the same.
    const IGNORED: &'static [&'static str] = &["port"];

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let page = Page {
            scheme: Some(params.scheme.unwrap_or(Scheme::Https)),
            path: params.path,
            port: None,
            insecure_skip_verify: Some(params.insecure_skip_verify),
            ca_cert_path: params.ca_cert_path,
            client_cert_path: params.client_cert_path,
            client_key_path: params.client_key_path,
            interval: params.interval,
        };
        Ok(Roles { data_source: Some(page.source(SourceKind::Multicluster, cx)?), ..Roles::default() })
    }
}

#[cfg(test)]
mod tests;
