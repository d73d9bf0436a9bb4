//! Preparers: plugins that find out something that takes waiting.

room! {
    burst_prefix_cache::BurstPrefixCacheProducer,
}
