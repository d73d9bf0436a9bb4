//! Filters: plugins that take candidates out.

room! {
    header_based_testing::HeaderBasedTestingFilter,
    label_selector::LabelSelectorFilter,
}
