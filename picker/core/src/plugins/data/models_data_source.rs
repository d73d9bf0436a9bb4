//! `models-data-source`: where servers list their models.

use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Page, Scheme};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::scrape::SourceKind;

/// Parameters of `models-data-source`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// `http` or `https`. Without it, the one that the picker is started with for metrics, by default `http`.
    scheme: Option<Scheme>,
    /// Path of the list, on the port that serves requests. Default: `/v1/models`.
    path: Option<String>,
    /// Whether the certificates of servers are not checked. For `https`. Without it, `true`, with a warning: whoever can
    /// take the place of a server could then list any models.
    insecure_skip_verify: Option<bool>,
    /// File in the picker's pod with the certificates of authorities that are believed, in PEM. For `https` with
    /// `insecureSkipVerify: false`; without it, the authorities of the web are believed.
    ca_cert_path: String,
    /// File in the picker's pod with the certificate that servers are shown, in PEM. For `https`.
    client_cert_path: String,
    /// File in the picker's pod with the key of that certificate, in PEM.
    client_key_path: String,
    /// Time from one list of a server to the next, for example `10s`, rounded to a multiple of the interval that the picker
    /// is started with. Default: 5 s (llm-d: every 50 ms). An adapter that is loaded is known after that time.
    interval: String,
}

/// Names the lists. The picker fetches them.
#[derive(Debug)]
pub struct ModelsDataSource;

impl Plugin for ModelsDataSource {
    const TYPE: &'static str = "models-data-source";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Says where servers list their models, in the form of OpenAI's API. The picker reads answers up to 1 MiB with up to 1024 models; of a server with a longer list, or without one, the models are unknown.";
    const ROLES: &'static [Role] = &[Role::DataSource];
    const SAMPLE: &'static str = "\
plugins:
- type: models-data-source
  parameters: {interval: 10s}
- type: models-data-extractor
- type: cel-filter
  parameters: {expression: request.model in endpoint.models}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let page = Page {
            scheme: params.scheme,
            path: params.path,
            port: None,
            insecure_skip_verify: params.insecure_skip_verify,
            ca_cert_path: params.ca_cert_path,
            client_cert_path: params.client_cert_path,
            client_key_path: params.client_key_path,
            interval: params.interval,
        };
        Ok(Roles { data_source: Some(page.source(SourceKind::Models, cx)?), ..Roles::default() })
    }
}

#[cfg(test)]
mod tests;
