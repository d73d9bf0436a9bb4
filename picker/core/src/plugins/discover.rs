//! Discoveries: plugins that say where endpoints come from when it is not an InferencePool.

room! {
    file::FileDiscoveryPlugin,
    multicluster_file::MulticlusterFileDiscovery,
}
