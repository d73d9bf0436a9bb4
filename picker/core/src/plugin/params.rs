//! Reading of a plugin's parameters from a mapping, with every error.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::error::BuildError;
use crate::config::{ErrorKind, MAX_TOLD};

/// Reads parameters. serde tells one error at a time, so each is noted and the parameter it is in left
/// out, until there is none, or more than will be told.
pub(super) fn read<T: DeserializeOwned>(given: &Map<String, Value>) -> Result<T, Vec<BuildError>> {
    let mut errors = Vec::new();
    let mut rest = Cow::Borrowed(given);
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&*rest) {
            Ok(params) if errors.is_empty() => return Ok(params),
            Ok(_) => return Err(errors),
            Err(error) => error,
        };
        let path = error.path().to_string();
        let parameter = match error.path().iter().next() {
            Some(Segment::Map { key }) => key.clone(),
            _ => String::new(),
        };
        let message = error.into_inner().to_string();
        let (kind, missing) =
            match (message.strip_prefix("missing field `"), message.starts_with("unknown field")) {
                (Some(rest), _) => (ErrorKind::Missing, rest.strip_suffix('`')),
                (None, true) => (ErrorKind::UnknownField, None),
                (None, false) => (ErrorKind::Invalid, None),
            };
        let left_out = rest.contains_key(&parameter) && rest.to_mut().shift_remove(&parameter).is_some();
        match missing {
            // It is there, or was, and had its error.
            Some(name) if !left_out && given.contains_key(name) => {}
            Some(name) => {
                let dot = if path == "." { String::new() } else { format!("{path}.") };
                errors.push(BuildError {
                    field: format!("{dot}{name}"),
                    message: "is required".to_owned(),
                    kind,
                    instead_of: None,
                });
            }
            None => {
                let field = if path == "." { String::new() } else { path };
                errors.push(match kind {
                    ErrorKind::UnknownField => unknown(field, &message),
                    kind => BuildError { field, message, kind, instead_of: None },
                });
            }
        }
        if !left_out || errors.len() > MAX_TOLD {
            return Err(errors);
        }
    }
}

/// The error about an unknown parameter, from serde's: "unknown field `a`, expected one of `b`, `c`", or "unknown field
/// `a`, there are no fields".
fn unknown(field: String, message: &str) -> BuildError {
    let kind = ErrorKind::UnknownField;
    let Some((what, expected)) = message.rsplit_once(", expected ") else {
        return BuildError { field, message: message.to_owned(), kind, instead_of: None };
    };
    let written = what.trim_start_matches("unknown field `").trim_end_matches('`').to_owned();
    let known = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    BuildError { field, message: what.to_owned(), kind, instead_of: Some((written, known)) }
}

#[cfg(test)]
mod tests;
