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
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Params {
        path: String,
        #[serde(default)]
        block_size: u32,
        #[serde(default)]
        tiers: Vec<Tier>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tier {
        up_to: f64,
    }

    fn wrong(given: Value) -> Vec<(String, ErrorKind, String)> {
        let Value::Object(given) = given else { panic!("a mapping") };
        let errors = read::<Params>(&given).unwrap_err();
        let placed = |e: BuildError| {
            let field = e.field.clone();
            let error = e.at("");
            (field, error.kind, error.message)
        };
        errors.into_iter().map(placed).collect()
    }

    #[test]
    fn names_every_parameter_that_is_wrong() {
        let given =
            json!({"path": 5, "tiers": [{"up_to": 1}, {"up_to": "x"}], "blockSiez": 1, "blockSize": -1});
        let invalid = |field: &str, message: &str| (field.to_owned(), ErrorKind::Invalid, message.to_owned());
        assert_eq!(
            wrong(given),
            [
                invalid("path", "invalid type: integer `5`, expected a string"),
                invalid("tiers[1].up_to", "invalid type: string \"x\", expected f64"),
                (
                    "blockSiez".to_owned(),
                    ErrorKind::UnknownField,
                    "unknown field `blockSiez`; the nearest is \"blockSize\"".to_owned()
                ),
                invalid("blockSize", "invalid value: integer `-1`, expected u32"),
            ]
        );
    }

    #[test]
    fn of_very_many_wrong_parameters_not_each_is_looked_for() {
        let many: Map<String, Value> = (0..100_000).map(|i| (format!("p{i}"), Value::Null)).collect();
        let found = wrong(Value::Object(many));
        assert_eq!(found.len(), MAX_TOLD + 1);
        assert_eq!((found[0].0.as_str(), found[32].0.as_str()), ("p0", "p32"));
    }

    #[test]
    fn names_what_is_missing() {
        let missing = |field: &str| (field.to_owned(), ErrorKind::Missing, "is required".to_owned());
        assert_eq!(wrong(json!({})), [missing("path")]);
        assert_eq!(wrong(json!({"tiers": [{}]})), [missing("tiers[0].up_to"), missing("path")]);
    }

    #[test]
    fn reads_what_is_right() {
        let Value::Object(given) = json!({"path": "p", "tiers": [{"up_to": 2}]}) else { panic!("a mapping") };
        let wanted = Params { path: "p".to_owned(), block_size: 0, tiers: vec![Tier { up_to: 2.0 }] };
        assert_eq!(read::<Params>(&given), Ok(wanted));
    }
}
