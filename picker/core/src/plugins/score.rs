//! Scorers: plugins that judge candidates.

room! {
    active_request::ActiveRequestScorer,
    cel::CelScorer,
    consistent_hash::ConsistentHashScorer,
    endpoint_attribute::EndpointAttributeScorer,
    header_label_affinity::HeaderLabelAffinityScorer,
    kv_cache_utilization::KvCacheUtilizationScorer,
    kvcache_aware::KvcacheAwareScorer,
    latency::LatencyScorer,
    latency_ewma::LatencyEwmaScorer,
    load_aware::LoadAwareScorer,
    lora_affinity::LoraAffinityScorer,
    mm_embeddings_cache::MmEmbeddingsCacheScorer,
    multicluster_kv_cache_utilization::MulticlusterKvCacheUtilizationScorer,
    multicluster_prefix_cache::MulticlusterPrefixCacheScorer,
    multicluster_queue::MulticlusterQueueScorer,
    no_hit_lru::NoHitLruScorer,
    pd_bucket::PdBucketScorer,
    pd_kvcache_aware::PdKvcacheAwareScorer,
    prefix_cache::PrefixCacheScorer,
    queue::QueueScorer,
    running_requests_size::RunningRequestsSizeScorer,
    session_affinity::SessionAffinityScorer,
    session_prefix::SessionPrefix,
    slow_start::SlowStart,
    token_load::TokenLoadScorer,
    topology_affinity::TopologyAffinityScorer,
}

mod cluster_signal;
mod signal;
#[cfg(test)]
mod tests;
