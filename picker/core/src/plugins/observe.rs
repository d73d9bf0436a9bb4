//! Observers: plugins that watch responses.

room! {
    request_attribute_reporter::RequestAttributeReporter,
    served_verifier::DestinationEndpointServedVerifier,
    token_count_reporter::TokenCountReporter,
}

pub(in crate::plugins) mod expression;
