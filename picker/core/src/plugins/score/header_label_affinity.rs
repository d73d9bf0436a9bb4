//! `header-label-affinity-scorer`: prefers the pods of which a label has the value of a request header.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::per_labels::PerLabels;
use crate::request::header;
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `header-label-affinity-scorer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The request header. Upper and lower case are the same.
    header_name: String,
    /// The label of the pods.
    label_key: String,
}

/// 1 for pods with the value of the header, 0 for all others.
#[derive(Debug)]
pub struct HeaderLabelAffinityScorer {
    /// In lower case.
    header: String,
    label: String,
    values: PerLabels<Option<Box<str>>>,
}

impl Plugin for HeaderLabelAffinityScorer {
    const TYPE: &'static str = "header-label-affinity-scorer";
    const TASK: Task = Task::Labels;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str =
        "Prefers the servers whose pods have a label with the value that a request header has.";
    const FORMULA: &'static str =
        "1 where the label equals the header, else 0; 0 for all without the header.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: header-label-affinity-scorer
  parameters: {headerName: x-tenant, labelKey: tenant}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let header = header::name(&params.header_name)
            .map_err(|message| BuildError::invalid("headerName", message))?;
        if params.label_key.is_empty() {
            return Err(BuildError::invalid("labelKey", "must be the name of a label"));
        }
        let scorer = Self { header, label: params.label_key, values: PerLabels::default() };
        Ok(Roles { scorer: Some(Arc::new(scorer)), ..Roles::default() })
    }
}

impl Scorer for HeaderLabelAffinityScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let Some(wanted) = ask.request.headers.get(&self.header).filter(|wanted| !wanted.is_empty()) else {
            return;
        };
        let values =
            self.values.of(ask.view, |labels| labels.get(&self.label).map(|value| value.as_str().into()));
        for (score, i) in out.iter_mut().zip(candidates.iter()) {
            let is_wanted = values[i].as_ref().is_some_and(|value| value.as_bytes() == wanted);
            *score = f32::from(u8::from(is_wanted));
        }
    }
}
