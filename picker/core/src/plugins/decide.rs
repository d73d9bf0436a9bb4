//! Deciders: plugins that answer a question of a profile handler.

room! {
    always_disagg_multimodal::AlwaysDisaggMultimodalDecider,
    always_disagg_pd::AlwaysDisaggPdDecider,
    prefix_based_pd::PrefixBasedPdDecider,
}
