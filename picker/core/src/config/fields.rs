//! The fields of a mapping, each asked for by name: what nobody asked for is an error.

use serde_json::{Map, Value};

use super::{ConfigError, ErrorKind};
use crate::duration;

/// The fields of one mapping that have not been asked for yet.
pub(super) struct Fields<'a> {
    path: String,
    rest: Vec<(&'a String, &'a Value)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub fn open(path: &str, value: &'a Value, errors: &mut Vec<ConfigError>) -> Option<Self> {
        let map: &Map<String, Value> = match value {
            Value::Object(map) => map,
            other => {
                errors.push(wrong_type(path, "a mapping", other));
                return None;
            }
        };
        Some(Self { path: path.to_owned(), rest: map.iter().collect(), known: Vec::new() })
    }

    pub fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        let found = self.rest.iter().position(|(n, _)| *n == name)?;
        Some(self.rest.remove(found).1)
    }

    /// The field called `name`, which nobody is told to write.
    pub fn take_former(&mut self, name: &str) -> Option<&'a Value> {
        let found = self.rest.iter().position(|(n, _)| *n == name)?;
        Some(self.rest.remove(found).1)
    }

    pub fn string(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<String> {
        match self.take(name)? {
            Value::Null => None,
            Value::String(s) if !s.is_empty() => Some(s.clone()),
            Value::String(_) => {
                errors.push(ConfigError::new(self.at(name), ErrorKind::Invalid, "must not be empty"));
                None
            }
            other => {
                errors.push(wrong_type(&self.at(name), "a string", other));
                None
            }
        }
    }

    pub fn flag(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<bool> {
        match self.take(name)? {
            Value::Null => None,
            Value::Bool(flag) => Some(*flag),
            other => {
                errors.push(wrong_type(&self.at(name), "true or false", other));
                None
            }
        }
    }

    pub fn number(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<f64> {
        match self.take(name)? {
            Value::Null => None,
            Value::Number(n) => n.as_f64(),
            other => {
                errors.push(wrong_type(&self.at(name), "a number", other));
                None
            }
        }
    }

    /// A whole number of any size; what is too large for `u32` is as good as its largest.
    pub fn integer(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<u32> {
        match self.take(name)? {
            Value::Null => None,
            // The API server may store 5.0 for 5.
            Value::Number(n) if n.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0) => {
                n.as_f64().map(|n| n as u32)
            }
            other => {
                errors.push(wrong_type(&self.at(name), "a whole number from 0", other));
                None
            }
        }
    }

    /// A text that is a duration.
    pub fn duration(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<String> {
        let text = self.string(name, errors)?;
        match duration::parse(&text) {
            Ok(_) => Some(text),
            Err(message) => {
                errors.push(ConfigError::new(self.at(name), ErrorKind::Invalid, message));
                None
            }
        }
    }

    pub fn required(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<String> {
        let before = errors.len();
        let value = self.string(name, errors);
        if value.is_none() && errors.len() == before {
            errors.push(ConfigError::new(self.at(name), ErrorKind::Missing, "is required"));
        }
        value
    }

    pub fn list<T>(
        &mut self,
        name: &'static str,
        errors: &mut Vec<ConfigError>,
        mut item: impl FnMut(&str, &Value, &mut Vec<ConfigError>) -> T,
    ) -> Vec<T> {
        let path = self.at(name);
        match self.take(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(i, value)| item(&format!("{path}[{i}]"), value, errors))
                .collect(),
            Some(other) => {
                errors.push(wrong_type(&path, "a list", other));
                Vec::new()
            }
        }
    }

    pub fn close(self, errors: &mut Vec<ConfigError>) {
        for (name, _) in &self.rest {
            let (message, known) = ("unknown field".to_owned(), ("known here", &*self.known));
            errors.push(ConfigError::unknown(self.at(name), ErrorKind::UnknownField, message, name, known));
        }
    }
}

/// The error of a value at `path` that is none of what is `wanted`.
pub(super) fn wrong_type(path: &str, wanted: &str, found: &Value) -> ConfigError {
    let is = match found {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        plain => plain.to_string(),
    };
    ConfigError::new(path, ErrorKind::Invalid, format!("must be {wanted}, is {is}"))
}
