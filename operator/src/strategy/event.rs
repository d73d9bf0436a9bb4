//! An Event about a strategy, before it is told to the API server.

/// An Event about a strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StrategyEvent {
    /// Whether it is a Warning.
    pub warning: bool,
    pub reason: String,
    pub note: String,
}

impl StrategyEvent {
    pub fn normal(reason: &str, note: impl Into<String>) -> Self {
        Self { warning: false, reason: reason.to_owned(), note: note.into() }
    }

    pub fn warning(reason: &str, note: impl Into<String>) -> Self {
        Self { warning: true, reason: reason.to_owned(), note: note.into() }
    }
}
