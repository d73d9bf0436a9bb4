//! Scorers: plugins that judge candidates.

room! {
    active_request::ActiveRequestScorer,
    endpoint_attribute::EndpointAttributeScorer,
    kv_cache_utilization::KvCacheUtilizationScorer,
    lora_affinity::LoraAffinityScorer,
    prefix_cache::PrefixCacheScorer,
    queue::QueueScorer,
    running_requests_size::RunningRequestsSizeScorer,
}

mod signal;
#[cfg(test)]
mod tests;
