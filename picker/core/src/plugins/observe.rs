//! Observers: plugins that watch responses.

room! {
    request_attribute_reporter::RequestAttributeReporter,
}

pub(in crate::plugins) mod expression;
