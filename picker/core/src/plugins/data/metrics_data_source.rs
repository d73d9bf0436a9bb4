//! `metrics-data-source`: where the metrics of model servers are.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{self, Page, Scheme};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::scrape::{MetricsSource, ServerShare, SourceKind};

/// Parameters of `metrics-data-source`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// `http` or `https`. Without it, the one that the picker is started with, by default `http`.
    scheme: Option<Scheme>,
    /// Path of the page of metrics. Without it, the one that the picker is started with; without that, `/metrics`, and
    /// where this says nothing `/prometheus/metrics`.
    path: Option<String>,
    /// Port of the page of metrics. Without it, the one that the picker is started with; without that, the port that
    /// serves requests. In a pool with several target ports (data-parallel ranks) leave it out: all ranks of a pod would
    /// have the figures of this one page.
    #[schemars(range(min = 1))]
    port: Option<u16>,
    /// Whether the certificates of servers are not checked. For `https`. Without it, `true`, with a warning: whoever can
    /// take the place of a server could then give any figures.
    insecure_skip_verify: Option<bool>,
    /// File in the picker's pod with the certificates of authorities that are believed, in PEM. For `https` with
    /// `insecureSkipVerify: false`; without it, the authorities of the web are believed.
    ca_cert_path: String,
    /// File in the picker's pod with the certificate that servers are shown, in PEM. For `https`.
    client_cert_path: String,
    /// File in the picker's pod with the key of that certificate, in PEM.
    client_key_path: String,
    /// Time from one scrape of a server to the next, for example `1s`. It is rounded to a multiple of the interval that
    /// the picker is started with, by default 50 ms. Without it, that interval. Of several replicas of a RoutingStrategy's
    /// picker, each scrapes as many times more seldom, but not for that more seldom than every 250 ms.
    interval: String,
    /// Time from one scrape of a server to the next while no requests flow, for example `5s`: for 5 seconds none came, and
    /// none is being answered. The first request after a rest is decided on the last figures, and wakes the scraping. `0s`
    /// is no rest. Without it, what the picker is started with, by default 2 s.
    rest_interval: String,
    /// The most of the time of one core of a server that its pages of metrics may take, from 0 to 1: scrapes are as far
    /// apart as that asks for, seen from the shortest time in which a page came lately, and at most 10 s. 0 is no limit.
    /// Without it, what the picker is started with, by default 0.02. The replicas of a RoutingStrategy's picker divide it among
    /// them; elsewhere each counts for itself.
    #[schemars(range(min = 0.0, max = 1.0))]
    max_server_share: Option<f64>,
    /// Time after which the load that a server reports (waiting, running, KV cache) is doubted, for example `1m`: it says that
    /// there are requests, none of them is ours, and it has not moved all that time, while that of other servers did. It
    /// counts as unknown then, until a request was sent there. `0s` is never. Default: 30 s.
    doubt_after: String,
}

impl Params {
    /// The period at rest; `None` is the picker's.
    fn rest(&self) -> Result<Option<Duration>, BuildError> {
        page::duration("restInterval", &self.rest_interval)
    }

    /// The time after which figures are doubted; `None` is the picker's.
    fn doubt(&self) -> Result<Option<Duration>, BuildError> {
        page::duration("doubtAfter", &self.doubt_after)
    }

    /// What pages may cost; `None` is the picker's.
    fn server_share(&self) -> Result<Option<ServerShare>, BuildError> {
        let Some(share) = self.max_server_share else { return Ok(None) };
        let legal = ServerShare::new(share);
        legal
            .map(Some)
            .ok_or_else(|| BuildError::invalid("maxServerShare", "must be 0, or between 0.000001 and 1"))
    }
}

/// Names the pages. The picker fetches them.
#[derive(Debug)]
pub struct MetricsDataSource;

impl Plugin for MetricsDataSource {
    const TYPE: &'static str = "metrics-data-source";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Says where the metrics of model servers are, and how they are fetched. Without one they are looked for on the port that serves requests. Under another name it takes the place of the default one too (llm-d: each server is scraped twice then).";
    const ROLES: &'static [Role] = &[Role::DataSource];
    const SAMPLE: &'static str = "\
plugins:
- type: metrics-data-source
  parameters: {port: 9400, path: /metrics, interval: 100ms}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let (rest_interval, doubt_after) = (params.rest()?, params.doubt()?);
        let server_share = params.server_share()?;
        let page = Page {
            scheme: params.scheme,
            path: params.path,
            port: params.port,
            insecure_skip_verify: params.insecure_skip_verify,
            ca_cert_path: params.ca_cert_path,
            client_cert_path: params.client_cert_path,
            client_key_path: params.client_key_path,
            interval: params.interval,
        };
        let source = MetricsSource {
            rest_interval,
            server_share,
            doubt_after,
            ..page.source(SourceKind::Metrics, cx)?
        };
        Ok(Roles { data_source: Some(source), ..Roles::default() })
    }
}

#[cfg(test)]
mod tests;
