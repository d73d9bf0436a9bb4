//! Observers: plugins that watch responses.

room! {
    request_attribute_reporter::RequestAttributeReporter,
}

mod expression;
