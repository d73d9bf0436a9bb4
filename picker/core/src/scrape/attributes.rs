//! Names of attributes of endpoints.

use crate::column::Column;

/// Attributes of endpoints that every `core-metrics-extractor` sets, and their columns.
pub const CORE: [(&str, Column); 3] = [
    ("WaitingQueueSize", Column::WAITING),
    ("RunningRequestsSize", Column::RUNNING),
    ("KVCacheUsagePercent", Column::KV_USAGE),
];

/// The column of an attribute that every `core-metrics-extractor` sets.
pub fn core(name: &str) -> Option<Column> {
    CORE.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
}

/// The attribute of how busy the accelerators of an endpoint are, 0 to 1.
pub const GPU_UTILIZATION: &str = "GPUUtilization";

/// The attribute of the length of the queues of another cluster's pool.
pub const POOL_QUEUE: &str = "llm-d.ai/multicluster-queue-size";

/// The attribute of the share of the KV caches in use in another cluster's pool.
pub const POOL_KV_USAGE: &str = "llm-d.ai/multicluster-kv-cache-utilization";
