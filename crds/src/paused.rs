//! `spec.paused`: what of a strategy stands still for a while.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// What of a strategy stands still. `true` is the workload alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// Whether the operator writes nothing for the strategy but its status, its finalizer and the history of its routings.
    pub workload: bool,
    /// Whether edits of the routing are taken up by no picker, and not accepted into the history.
    pub routing: bool,
}

impl Paused {
    /// Whether anything stands still.
    pub fn is_any(self) -> bool {
        self.workload || self.routing
    }

    /// Whether nothing does.
    pub fn is_none(&self) -> bool {
        !self.is_any()
    }

    /// Reads the form that the API server lets through: a boolean, or an object of two. What is neither, of a newer
    /// release perhaps, pauses the workload: whoever wrote it wanted something to stand still.
    pub fn read(value: &Value) -> Self {
        match value {
            Value::Null => Self::default(),
            Value::Bool(workload) => Self { workload: *workload, routing: false },
            Value::Object(fields) => {
                let is = |name: &str| fields.get(name).is_some_and(|field| field == true);
                Self { workload: is("workload"), routing: is("routing") }
            }
            _ => Self { workload: true, routing: false },
        }
    }
}

impl<'de> Deserialize<'de> for Paused {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::read(&Value::deserialize(deserializer)?))
    }
}

impl JsonSchema for Paused {
    fn schema_name() -> Cow<'static, str> {
        "Paused".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// A field of two types is none to a structural schema, so that every value is listed.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut values = vec![Value::Bool(true), Value::Bool(false)];
        let choices = [None, Some(true), Some(false)];
        for workload in choices {
            for routing in choices {
                let fields = [("workload", workload), ("routing", routing)];
                let given =
                    fields.into_iter().filter_map(|(name, is)| Some((name.to_owned(), Value::Bool(is?))));
                values.push(Value::Object(given.collect()));
            }
        }
        schemars::json_schema!({
            "x-kubernetes-preserve-unknown-fields": true,
            "maxProperties": 2,
            "enum": values,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_boolean_is_the_workload_and_an_object_says_which() {
        let both = |workload, routing| Paused { workload, routing };
        for (value, expected) in [
            (json!(true), both(true, false)),
            (json!(false), both(false, false)),
            (Value::Null, both(false, false)),
            (json!({}), both(false, false)),
            (json!({"workload": true}), both(true, false)),
            (json!({"routing": true}), both(false, true)),
            (json!({"workload": true, "routing": true}), both(true, true)),
            (json!({"workload": false, "routing": true}), both(false, true)),
            (json!("true"), both(true, false)),
        ] {
            assert_eq!(serde_json::from_value::<Paused>(value.clone()).unwrap(), expected, "{value}");
        }
    }
}
