//! Envoy's own counters, as its admin endpoint tells them.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::load::Client;

/// The counters and gauges of the Envoy with its admin endpoint at `admin` whose name contains a match of the regular
/// expression `filter`.
///
/// # Errors
/// When the endpoint does not answer.
pub async fn read(admin: &str, filter: &str) -> Result<BTreeMap<String, u64>> {
    let text = Client::new().get(&format!("http://{admin}/stats?usedonly&filter={filter}")).await?;
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    Ok(lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
}
