//! The metrics of endpoints, read from the view.

use std::fmt;
use std::time::Instant;

use picker_core::column::Column;
use picker_core::health::{Phase, Reason};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::view::SharedView;

/// The collector of the figures of the endpoints, read from the view when they are asked for: a series goes with its endpoint.
#[derive(Debug)]
pub(super) struct Endpoints(SharedView);

impl Endpoints {
    pub(super) fn new(view: SharedView) -> Self {
        Self(view)
    }
}

impl Collector for Endpoints {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let view = self.0.load();
        let count = ConstGauge::new(view.len() as i64);
        count.encode(encoder.encode_descriptor(
            "endpoints",
            "Endpoints that may be named",
            None,
            count.metric_type(),
        )?)?;

        let mut metric = encoder.encode_descriptor(
            "ejections",
            "Times that an endpoint was ejected because it failed",
            None,
            MetricType::Counter,
        )?;
        for reason in Reason::ALL {
            let count = ConstCounter::new(view.health.ejections(reason));
            count.encode(metric.encode_family(&[("reason", reason.name())])?)?;
        }

        // Other clusters compare pools by them.
        for (name, help, column) in [
            (
                "average_waiting",
                "Mean of the requests waiting at the endpoints, as last scraped",
                Column::WAITING,
            ),
            (
                "average_kv_usage",
                "Mean of the share of the KV cache in use, as last scraped",
                Column::KV_USAGE,
            ),
        ] {
            let known = view.column(column).iter().filter(|figure| !figure.is_nan());
            let (sum, count) =
                known.fold((0.0, 0_u32), |(sum, count), figure| (sum + f64::from(*figure), count + 1));
            if count > 0 {
                let mean = ConstGauge::new(sum / f64::from(count));
                mean.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
            }
        }

        let now = Instant::now();
        let mut column = |name: &str, help: &str, figure: &dyn Fn(usize) -> Option<f64>| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (i, endpoint) in view.endpoints.iter().enumerate() {
                if let Some(figure) = figure(i) {
                    let labels = [("endpoint", endpoint.name.as_str()), ("address", &endpoint.destination)];
                    ConstGauge::new(figure).encode(metric.encode_family(&labels)?)?;
                }
            }
            Ok::<_, fmt::Error>(())
        };
        let known = |figure: f32| (!figure.is_nan()).then_some(f64::from(figure));
        column("in_flight", "Requests sent to the endpoint that have not ended", &|i| {
            Some(f64::from(view.endpoints[i].live().in_flight()))
        })?;
        column(
            "endpoint_health",
            "Whether the endpoint gets requests: 1, 0.5 one at a time as a trial, 0 none because it fails",
            &|i| {
                Some(match view.endpoints[i].health().status(now).phase {
                    Phase::Healthy => 1.0,
                    Phase::Due | Phase::Trial => 0.5,
                    Phase::Ejected => 0.0,
                })
            },
        )?;
        column("endpoint_waiting", "Requests waiting at the endpoint, as last scraped", &|i| {
            known(view.column(Column::WAITING)[i])
        })?;
        column("endpoint_running", "Requests running at the endpoint, as last scraped", &|i| {
            known(view.column(Column::RUNNING)[i])
        })?;
        column("endpoint_kv_usage", "Share of the endpoint's KV cache in use, as last scraped", &|i| {
            known(view.column(Column::KV_USAGE)[i])
        })
    }
}
