//! Filters: plugins that take candidates out.

room! {
    endpoint_attribute::EndpointAttributeFilter,
    header_based_testing::HeaderBasedTestingFilter,
    label_selector::LabelSelectorFilter,
}
