//! Plugins that take candidates out.

mod header_based_testing;
mod label_selector;

pub use header_based_testing::HeaderBasedTestingFilter;
pub use label_selector::LabelSelectorFilter;
