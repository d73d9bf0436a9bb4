//! Plugins that find out something about a request before it is scored.

mod approx_prefix_cache;

pub use approx_prefix_cache::ApproxPrefixCacheProducer;
