//! Producers: plugins that find out something about a request before it is scored.

room! {
    agent_identity::AgentIdentity,
    approx_prefix_cache::ApproxPrefixCacheProducer,
    inflight_load::InflightLoadProducer,
    mm_embeddings_cache::MmEmbeddingsCacheProducer,
    multicluster_approx_prefix_cache::MulticlusterApproxPrefixCacheProducer,
    p2p_source::P2pSourceProducer,
    pd_group::PdGroupProducer,
    session_id::SessionIdProducer,
    token::TokenProducer,
    topology::TopologyExtractor,
}
