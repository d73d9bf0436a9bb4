//! Data about endpoints that a strategy reads: where its pages are, and which series of them tell which figure.
//!
//! These are plain values. Nothing is read when a strategy is compiled; the picker makes its scanner from the
//! [`ScrapePlan`], which has only the series of what the strategy's plugins read.

pub mod attributes;
pub mod builtin;
mod extractor;
pub mod meaning;
mod plan;
pub mod selector;
mod source;

pub use extractor::{Engine, EnginePlan, ExtractorPlan, Figure, MetricsExtractor};
pub use plan::{ScrapePlan, SourceId, SourcePlan};
pub use selector::Selector;
pub use source::{CORE_EXTRACTOR, MetricsSource, ServerShare, SourceKind, Tls};

#[cfg(test)]
mod tests;
