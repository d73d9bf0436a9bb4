//! `by-label`: keeps the endpoints whose pods have one of some values of a label.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::by_labels::{self, ByLabels};
use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::Filter;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `by-label`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The label.
    label: String,
    /// The values of which a pod must have one. At least one, unless `allowsNoLabel`.
    #[serde(default)]
    valid_values: Vec<String>,
    /// Whether pods without the label stay, too.
    #[serde(default)]
    allows_no_label: bool,
}

/// Keeps the candidates with one of the values.
#[derive(Debug)]
pub struct ByLabelFilter {
    params: Params,
    by_labels: ByLabels,
}

impl Plugin for ByLabelFilter {
    const TYPE: &'static str = "by-label";
    const TASK: Task = Task::Labels;
    const ORIGIN: Origin = Origin::LlmD;
    const DEPRECATED: Option<&'static str> =
        Some("label-selector-filter with matchExpressions: {key: LABEL, operator: In, values: [VALUE]}");
    const SUMMARY: &'static str = "Keeps the endpoints whose pods have one of some values of a label, and, if wanted, those without it.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: by-label
  parameters: {label: llm-d.ai/role, validValues: [decode, both], allowsNoLabel: true}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.label.is_empty() {
            return Err(BuildError::invalid("label", "must be the name of a label"));
        }
        if params.valid_values.is_empty() && !params.allows_no_label {
            let message = "must have at least one value, unless allowsNoLabel is true: no pod would be kept";
            return Err(BuildError::invalid("validValues", message));
        }
        let filter = Self { params, by_labels: ByLabels::default() };
        Ok(Roles { filter: Some(Arc::new(filter)), ..Roles::default() })
    }
}

impl Filter for ByLabelFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let Params { label, valid_values, allows_no_label } = &self.params;
        self.by_labels.retain(ask.view, keep, |labels| {
            labels.get(label).map_or(*allows_no_label, |value| valid_values.contains(value))
        });
    }

    fn is_by_labels(&self) -> bool {
        true
    }

    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        Some(by_labels::why(&ask.view.endpoints[endpoint].labels, &self.params.label))
    }
}
