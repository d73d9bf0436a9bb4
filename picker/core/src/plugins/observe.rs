//! Observers: plugins that watch responses.

room! {
    request_attribute_reporter::RequestAttributeReporter,
    served_verifier::DestinationEndpointServedVerifier,
}

pub(in crate::plugins) mod expression;
