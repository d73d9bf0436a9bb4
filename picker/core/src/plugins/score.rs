//! Scorers: plugins that judge candidates.

room! {
    active_request::ActiveRequestScorer,
    endpoint_attribute::EndpointAttributeScorer,
    header_label_affinity::HeaderLabelAffinityScorer,
    kv_cache_utilization::KvCacheUtilizationScorer,
    latency::LatencyScorer,
    load_aware::LoadAwareScorer,
    lora_affinity::LoraAffinityScorer,
    no_hit_lru::NoHitLruScorer,
    prefix_cache::PrefixCacheScorer,
    queue::QueueScorer,
    running_requests_size::RunningRequestsSizeScorer,
    session_affinity::SessionAffinityScorer,
    token_load::TokenLoadScorer,
    topology_affinity::TopologyAffinityScorer,
}

mod signal;
#[cfg(test)]
mod tests;
