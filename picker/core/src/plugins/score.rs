//! Scorers: plugins that judge candidates.

room! {
    active_request::ActiveRequestScorer,
    kv_cache_utilization::KvCacheUtilizationScorer,
    lora_affinity::LoraAffinityScorer,
    prefix_cache::PrefixCacheScorer,
    queue::QueueScorer,
    running_requests_size::RunningRequestsSizeScorer,
    session_affinity::SessionAffinityScorer,
}

mod signal;
#[cfg(test)]
mod tests;
