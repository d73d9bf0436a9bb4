//! Producers: plugins that find out something about a request before it is scored.

room! {
    approx_prefix_cache::ApproxPrefixCacheProducer,
}
