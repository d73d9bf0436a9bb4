//! Why a plugin instance could not be made.

use crate::config::{ConfigError, ErrorKind};

/// Why an instance could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// The parameter, relative to `parameters`; empty when it is none in particular.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// What sort of error it is.
    pub kind: ErrorKind,
    /// What was written in place of one of the names, and these names.
    pub(super) instead_of: Option<(String, Vec<String>)>,
}

impl BuildError {
    /// A value that the plugin can't work with.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into(), kind: ErrorKind::Invalid, instead_of: None }
    }

    /// A reference to something that isn't there.
    pub fn unknown_ref(field: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            message: message.into(),
            kind: ErrorKind::UnknownRef,
            instead_of: None,
        }
    }
}

impl BuildError {
    /// A reference to something that isn't there, as [`BuildError::unknown_ref`], where `written` should be one of
    /// `known`. The message need not list them.
    pub(crate) fn none_of<'n>(
        field: &str,
        message: impl Into<String>,
        written: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let known = known.into_iter().map(str::to_owned).collect();
        Self { instead_of: Some((written.to_owned(), known)), ..Self::unknown_ref(field, message) }
    }

    /// The same of the plugin whose fields lie at `path` of the configuration.
    pub(crate) fn at(self, path: &str) -> ConfigError {
        let path = parameter_path(path, &self.field);
        let Some((written, known)) = self.instead_of else {
            return ConfigError::new(path, self.kind, self.message);
        };
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let intro = if self.kind == ErrorKind::UnknownField { "known here" } else { "there are" };
        ConfigError::unknown(path, self.kind, self.message, &written, (intro, &known))
    }
}

/// Path of the parameter `field` of the plugin at `path`.
pub(crate) fn parameter_path(path: &str, field: &str) -> String {
    let dot = if field.is_empty() || field.starts_with('[') { "" } else { "." };
    format!("{path}.parameters{dot}{field}")
}
