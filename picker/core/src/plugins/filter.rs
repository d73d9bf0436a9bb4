//! Filters: plugins that take candidates out.

room! {
    decode::DecodeFilter,
    encode::EncodeFilter,
    endpoint_attribute::EndpointAttributeFilter,
    header_based_testing::HeaderBasedTestingFilter,
    label_selector::LabelSelectorFilter,
    prefill::PrefillFilter,
    prefix_cache_affinity::PrefixCacheAffinityFilter,
    session_affinity::SessionAffinityFilter,
}

mod by_labels;
mod role;
