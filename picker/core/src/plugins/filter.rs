//! Filters: plugins that take candidates out.

room! {
    by_label::ByLabelFilter,
    cel::CelFilter,
    concurrency_detector::ConcurrencyDetector,
    context_length_aware::ContextLengthAware,
    decode::DecodeFilter,
    encode::EncodeFilter,
    endpoint_attribute::EndpointAttributeFilter,
    header_based_testing::HeaderBasedTestingFilter,
    label_selector::LabelSelectorFilter,
    multicluster_session_affinity::MulticlusterSessionAffinityFilter,
    pd_group::PdGroupFilter,
    prefill::PrefillFilter,
    prefix_cache_affinity::PrefixCacheAffinityFilter,
    session_affinity::SessionAffinityFilter,
    topology_affinity::TopologyAffinityFilter,
    utilization::UtilizationFilter,
    utilization_detector::UtilizationDetector,
}

mod by_labels;
mod role;
