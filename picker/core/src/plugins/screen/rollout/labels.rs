//! Labels of pods that headers ask for and tell.

use crate::plugins::per_labels::PerLabels;

/// A header that says which value a label must have.
#[derive(Debug)]
pub(super) struct Strict {
    pub stamp: Stamp,
    pub values: PerLabels<Option<Box<str>>>,
}

/// A response header that tells the value of a label.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    /// In lower case.
    pub header: String,
    pub label: String,
}
