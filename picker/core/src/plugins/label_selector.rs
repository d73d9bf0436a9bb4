//! Kubernetes label selectors, as values and as text.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::endpoint::Labels;
use crate::plugin::BuildError;

pub(super) mod syntax;
mod text;

/// A Kubernetes label selector. All of its requirements must hold; without any, every endpoint matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must be there with exactly these values.
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Requirement {
    /// The label.
    key: String,
    /// What must hold for it.
    operator: Operator,
    /// Values to compare with: at least one for `In` and `NotIn`, none for `Exists` and `DoesNotExist`.
    #[serde(default)]
    values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum Operator {
    /// The label is there and has one of the values.
    In,
    /// The label is absent, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Checks keys and values.
    pub fn check(&self) -> Result<(), BuildError> {
        for (key, value) in &self.match_labels {
            let field = format!("matchLabels.{key}");
            syntax::key(key).map_err(|e| BuildError::invalid(&field, e))?;
            syntax::value(value).map_err(|e| BuildError::invalid(&field, e))?;
        }
        for (i, Requirement { key, operator, values }) in self.match_expressions.iter().enumerate() {
            let field = |name: &str| format!("matchExpressions[{i}].{name}");
            syntax::key(key).map_err(|e| BuildError::invalid(&field("key"), e))?;
            let compares = matches!(operator, Operator::In | Operator::NotIn);
            if compares && values.is_empty() {
                let message = format!("must have at least one value for the operator {operator:?}");
                return Err(BuildError::invalid(&field("values"), message));
            }
            if !compares && !values.is_empty() {
                let message = format!("must be empty for the operator {operator:?}");
                return Err(BuildError::invalid(&field("values"), message));
            }
            for (v, value) in values.iter().enumerate() {
                syntax::value(value).map_err(|e| BuildError::invalid(&field(&format!("values[{v}]")), e))?;
            }
        }
        Ok(())
    }

    /// Whether it matches a pod with these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|r| r.matches(labels.get(&r.key)))
    }

    /// The label of the first requirement that `labels` do not meet.
    pub fn unmet(&self, labels: &Labels) -> Option<&str> {
        let unequal = self.match_labels.iter().find(|(key, value)| labels.get(*key) != Some(value));
        let refused = || self.match_expressions.iter().find(|r| !r.matches(labels.get(&r.key)));
        unequal.map(|(key, _)| key.as_str()).or_else(|| refused().map(|r| r.key.as_str()))
    }
}

impl Requirement {
    fn matches(&self, label: Option<&String>) -> bool {
        match self.operator {
            Operator::In => label.is_some_and(|l| self.values.contains(l)),
            Operator::NotIn => label.is_none_or(|l| !self.values.contains(l)),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
        }
    }
}
