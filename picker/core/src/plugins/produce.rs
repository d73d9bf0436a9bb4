//! Producers: plugins that find out something about a request before it is scored.

room! {
    agent_identity::AgentIdentity,
    approx_prefix_cache::ApproxPrefixCacheProducer,
    inflight_load::InflightLoadProducer,
    pd_group::PdGroupProducer,
    topology::TopologyExtractor,
}
