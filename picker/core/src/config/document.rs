//! The file form: `apiVersion` and `kind` around a routing body.

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::{ConfigError, ErrorKind, Errors};

/// The apiVersions under which guides write an EndpointPickerConfig.
pub const API_VERSIONS: [&str; 2] = ["llm-d.ai/v1alpha1", "inference.networking.x-k8s.io/v1alpha1"];

/// An EndpointPickerConfig as a file or a flag holds it, not yet compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Everything but `apiVersion` and `kind`.
    pub routing: Value,
}

/// A text that is no EndpointPickerConfig.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{errors}")]
pub struct Unread {
    /// What is wrong with it.
    pub errors: Errors,
    /// The rest of it, when only `apiVersion` or `kind` is wrong.
    pub routing: Option<Value>,
}

impl From<ConfigError> for Unread {
    fn from(error: ConfigError) -> Self {
        Self { errors: error.into(), routing: None }
    }
}

impl Document {
    /// Reads YAML or JSON text. [`crate::compile::read_document`] also says what else is wrong with a text of another
    /// kind.
    ///
    /// # Errors
    /// When the text is no YAML, is no mapping, or says it is something else.
    pub fn parse(text: &str) -> Result<Self, Unread> {
        let value: Value = serde_saphyr::from_str(text)
            .map_err(|e| ConfigError::new("", ErrorKind::Syntax, format!("no YAML: {}", one_line(&e))))?;
        let Value::Object(mut fields) = value else {
            return Err(
                ConfigError::new("", ErrorKind::Syntax, "an EndpointPickerConfig is a mapping").into()
            );
        };
        let mut errors = Vec::new();
        let mut expect = |fields: &mut Map<String, Value>, name: &str, wanted: &[&str]| {
            let wrong = match fields.shift_remove(name) {
                Some(Value::String(s)) if wanted.contains(&s.as_str()) => return,
                Some(other) => ConfigError::new(
                    name,
                    ErrorKind::Invalid,
                    format!("must be {}, is {other}", wanted.join(" or ")),
                ),
                None => {
                    ConfigError::new(name, ErrorKind::Missing, format!("must be {}", wanted.join(" or ")))
                }
            };
            errors.push(wrong);
        };
        expect(&mut fields, "apiVersion", &API_VERSIONS);
        expect(&mut fields, "kind", &["EndpointPickerConfig"]);
        let routing = Value::Object(fields);
        if errors.is_empty() {
            Ok(Self { routing })
        } else {
            Err(Unread { errors: Errors(errors), routing: Some(routing) })
        }
    }
}

/// The parser shows the place in the text over several lines; its first one says it in words.
fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Longest routing of a RoutingStrategy as JSON, in bytes: it is kept in the history and compiled by every
/// picker.
pub const MAX_ROUTING: usize = 256 * 1024;

/// The revision of a routing body: a hash of its stored form in canonical JSON (sorted keys, no
/// whitespace, defaults not filled in), 16 hex digits. The same in every release, so that an operator
/// and a picker of different releases agree.
pub fn revision(routing: &Value) -> String {
    let mut text = String::new();
    canonical(routing, &mut text);
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

/// Length of a routing body in canonical JSON.
pub(crate) fn length(routing: &Value) -> usize {
    let mut text = String::new();
    canonical(routing, &mut text);
    text.len()
}

pub(super) fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (i, (name, field)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                canonical(field, out);
            }
            out.push('}');
        }
        // The API server may store 2.0 as 2, and 1e16 as 10000000000000000; each is one number. Rust
        // writes a float with the fewest digits that tell it from any other, and without an exponent;
        // adding zero takes the sign from a negative zero.
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() => out.push_str(&(f + 0.0).to_string()),
            _ => out.push_str(&n.to_string()),
        },
        plain => out.push_str(&plain.to_string()),
    }
}
