//! The metrics of the tables that plugins keep.

use std::fmt;
use std::sync::Arc;

use picker_core::Hot;
use picker_core::store::Table;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// The collector of the memory of tables, read from those of the strategy that serves.
#[derive(Debug)]
pub(super) struct Tables(Arc<Hot>);

impl Tables {
    pub(super) fn new(hot: Arc<Hot>) -> Self {
        Self(hot)
    }
}

impl Collector for Tables {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let tables = self.0.tables();
        let mut gauge = |name: &str, help: &str, figure: fn(&Table) -> usize| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for table in &tables {
                let labels = [("type", table.kind), ("plugin", table.name.as_str())];
                ConstGauge::new(figure(table) as i64).encode(metric.encode_family(&labels)?)?;
            }
            Ok::<_, fmt::Error>(())
        };
        gauge("plugin_table_bytes", "Memory of what the plugin remembers", |table| table.bytes)?;
        gauge("plugin_table_max_bytes", "The most memory that it can come to", |table| table.max_bytes)
    }
}
