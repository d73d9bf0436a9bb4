//! `label-selector-filter`: keeps the endpoints whose pod labels match a Kubernetes label selector.

use std::sync::Arc;

use super::by_labels::{self, ByLabels};
use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::label_selector::LabelSelector;
use crate::role::Filter;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Keeps the candidates whose labels match its selector.
#[derive(Debug)]
pub struct LabelSelectorFilter {
    selector: LabelSelector,
    by_labels: ByLabels,
}

impl Plugin for LabelSelectorFilter {
    const TYPE: &'static str = "label-selector-filter";
    const TASK: Task = Task::Labels;
    const ORIGIN: Origin = Origin::LlmD;
    const ALIASES: &'static [&'static str] = &["by-label-selector"];
    const SUMMARY: &'static str =
        "Keeps the endpoints whose pod labels match a label selector, which is what the parameters are.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: label-selector-filter
  parameters:
    matchLabels: {llm-d.ai/role: decode}
- type: queue-scorer
";
    type Params = LabelSelector;

    fn build(selector: LabelSelector, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        selector.check()?;
        Ok(Roles {
            filter: Some(Arc::new(Self { selector, by_labels: ByLabels::default() })),
            ..Roles::default()
        })
    }
}

impl Filter for LabelSelectorFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        self.by_labels.retain(ask.view, keep, |labels| self.selector.matches(labels));
    }

    fn is_by_labels(&self) -> bool {
        true
    }

    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        let labels = &ask.view.endpoints[endpoint].labels;
        Some(by_labels::why(labels, self.selector.unmet(labels)?))
    }
}
