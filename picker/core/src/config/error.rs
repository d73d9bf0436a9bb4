//! Errors of a configuration: path of the field, kind and message.

use std::collections::BTreeSet;
use std::fmt;

use super::nearest::{joined, nearest};

/// What is wrong with one field of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Path of the field, for example `plugins[2].parameters.lruCapacityPerServer`; empty for the whole.
    pub path: String,
    /// What sort of error it is.
    pub kind: ErrorKind,
    /// What is wrong and what to do.
    pub message: String,
    /// All that could stand there instead, in words; empty where that is no list. Of the errors of one configuration,
    /// only the first with some list tells it.
    pub(super) list: String,
}

/// The sorts of error, for programs that tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is no YAML or JSON.
    Syntax,
    /// A field that doesn't exist.
    UnknownField,
    /// A required field is absent.
    Missing,
    /// A value of the wrong type or out of range.
    Invalid,
    /// A plugin type that doesn't exist.
    UnknownPlugin,
    /// A reference to something that isn't there.
    UnknownRef,
    /// A name used twice, or two of what may be only one.
    Duplicate,
}

/// Longest path and longest message, in bytes: both may quote what was written, which may be of any length.
const MAX_TEXT: usize = 1024;

impl ConfigError {
    /// An error of `kind` at `path`. What is longer than 1 KiB is cut.
    pub fn new(path: impl Into<String>, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { path: cut(path.into()), kind, message: cut(message.into()), list: String::new() }
    }

    /// The error that `written`, at `path`, is none of `known`: names the nearest of these, and lists them after `intro`.
    pub(crate) fn unknown(
        path: impl Into<String>,
        kind: ErrorKind,
        message: String,
        written: &str,
        (intro, known): (&str, &[&str]),
    ) -> Self {
        let near =
            nearest(written, known).map_or_else(String::new, |near| format!("; the nearest is {near:?}"));
        let list = if known.is_empty() { String::new() } else { format!("{intro}: {}", joined(known)) };
        Self { list, ..Self::new(path, kind, format!("{message}{near}")) }
    }

    /// Puts the list into the message, if `told` has not been told it yet.
    pub(crate) fn tell_list(&mut self, told: &mut BTreeSet<String>) {
        let list = std::mem::take(&mut self.list);
        if !list.is_empty() && !told.contains(&list) {
            self.message.push_str("; ");
            self.message.push_str(&list);
            told.insert(list);
        }
    }
}

fn cut(mut text: String) -> String {
    const END: &str = "…";
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT - END.len()));
        text.push_str(END);
    }
    text
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// What is not wrong with a configuration, but not as it should be: a deprecated name, a parameter without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Path of the field, as in [`ConfigError`].
    pub path: String,
    /// What it is and what to do.
    pub message: String,
}

impl From<ConfigError> for Warning {
    fn from(ConfigError { path, message, .. }: ConfigError) -> Self {
        Self { path, message }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// All errors of one configuration; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Errors(pub Vec<ConfigError>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Errors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let error = ConfigError::new("x".repeat(2000), ErrorKind::Invalid, "é".repeat(1000));
        assert_eq!((error.path.len(), error.message.len()), (MAX_TEXT, MAX_TEXT - 1));
        assert!(error.path.ends_with("x…") && error.message.ends_with("é…"));
        let whole = "x".repeat(MAX_TEXT);
        assert_eq!(ConfigError::new("", ErrorKind::Invalid, whole.clone()).message, whole);
    }
}
