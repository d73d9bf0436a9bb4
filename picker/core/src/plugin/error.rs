//! Why a plugin instance could not be made.

use crate::config::ErrorKind;

/// Why an instance could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// The parameter, relative to `parameters`; empty when it is none in particular.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// What sort of error it is.
    pub kind: ErrorKind,
}

impl BuildError {
    /// A value that the plugin can't work with.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into(), kind: ErrorKind::Invalid }
    }

    /// A reference to something that isn't there.
    pub fn unknown_ref(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into(), kind: ErrorKind::UnknownRef }
    }
}

/// Path of the parameter `field` of the plugin at `path`.
pub(crate) fn parameter_path(path: &str, field: &str) -> String {
    let dot = if field.is_empty() || field.starts_with('[') { "" } else { "." };
    format!("{path}.parameters{dot}{field}")
}
