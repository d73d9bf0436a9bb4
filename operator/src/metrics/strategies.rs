//! The metrics of strategies, made of the cache when somebody reads them: nothing is held for them, and what is gone is not
//! told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crds::RoutingStrategy;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::cache::Index;

/// Conditions and pools of all strategies.
#[derive(Debug)]
pub(super) struct Strategies(pub Arc<Index<RoutingStrategy>>);

impl Collector for Strategies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let all = self.0.all();
        let mut conditions = encoder.encode_descriptor(
            "waypost_strategy_condition",
            "1 for the status that a condition of a strategy has",
            None,
            MetricType::Gauge,
        )?;
        for strategy in &all {
            let (namespace, name) = names(strategy);
            for condition in strategy.status.iter().flat_map(|status| &status.conditions) {
                let labels = [
                    ("namespace", namespace),
                    ("name", name),
                    ("type", condition.type_.as_str()),
                    ("status", condition.status.as_str()),
                ];
                ConstGauge::new(1_i64).encode(conditions.encode_family(&labels)?)?;
            }
        }
        let mut pools = encoder.encode_descriptor(
            "waypost_strategy_pools",
            "Pools of a strategy, by how they are and where their requests go",
            None,
            MetricType::Gauge,
        )?;
        for strategy in &all {
            let (namespace, name) = names(strategy);
            for ((state, traffic), count) in counted(strategy) {
                let labels =
                    [("namespace", namespace), ("name", name), ("state", state), ("traffic", traffic)];
                ConstGauge::new(count).encode(pools.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn names(strategy: &RoutingStrategy) -> (&str, &str) {
    (
        strategy.metadata.namespace.as_deref().unwrap_or_default(),
        strategy.metadata.name.as_deref().unwrap_or_default(),
    )
}

/// How many pools there are with each state and traffic.
fn counted(strategy: &RoutingStrategy) -> BTreeMap<(&'static str, &'static str), i64> {
    let mut counts = BTreeMap::new();
    for pool in strategy.status.iter().flat_map(|status| &status.pools) {
        let Some(state) = pool.state else { continue };
        let traffic = pool.traffic.map_or("None", |traffic| traffic.as_str());
        *counts.entry((state.as_str(), traffic)).or_default() += 1;
    }
    counts
}
