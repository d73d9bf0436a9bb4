//! `pd-group-filter`: keeps the pods that take requests of a group of prefill and decode pods, or serve them alone.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::ask::Ask;
use crate::cx::Cx;
use crate::fact::Slot;
use crate::plugin::{BuildCx, BuildError, Moved, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::pd_groups::PdGroups;
use crate::role::Filter;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `pd-group-filter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Name of the plugin that tells the groups. Without it, the one called `pd-group-producer`, which is made with
    /// default parameters if there is none.
    pd_group_producer_name: Option<String>,
    /// A parameter of `pd-group-producer` now. Where the configuration has no plugin of that name, the one that is made
    /// gets this.
    #[schemars(extend("deprecated" = true))]
    pd_label_name: Option<String>,
    /// As `pdLabelName`.
    #[schemars(extend("deprecated" = true))]
    pd_group_label_name: Option<String>,
    /// As `pdLabelName`.
    #[schemars(extend("deprecated" = true))]
    prefill_value: Option<String>,
    /// As `pdLabelName`.
    #[schemars(extend("deprecated" = true))]
    decode_value: Option<String>,
    /// As `pdLabelName`.
    #[schemars(extend("deprecated" = true))]
    leader_value: Option<String>,
}

impl Params {
    /// The parameters that are those of the producer now.
    fn moved(&self) -> Vec<Moved> {
        let all = [
            ("pdLabelName", &self.pd_label_name),
            ("pdGroupLabelName", &self.pd_group_label_name),
            ("prefillValue", &self.prefill_value),
            ("decodeValue", &self.decode_value),
            ("leaderValue", &self.leader_value),
        ];
        let given = all.into_iter().filter_map(|(field, value)| Some((field, value.as_deref()?)));
        given.map(|(field, value)| Moved { field, now: vec![(field, Value::from(value))] }).collect()
    }
}

/// Keeps the leaders of complete groups, and pods that serve alone.
#[derive(Debug)]
pub struct PdGroupFilter {
    groups: Slot<PdGroups>,
}

impl Plugin for PdGroupFilter {
    const TYPE: &'static str = "pd-group-filter";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::Hermes;
    // Its name in openFuyao's Hermes-router 25.12.
    const ALIASES: &'static [&'static str] = &["filter-by-pd-label"];
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Keeps the pods that requests are sent to where pods prefill and decode in groups: the leader of each group that has at \
         least one prefill and one decode pod, and the pods whose role is aggregate, which serve requests alone. Pods without a \
         role go, unless no pod of the pool has one: then all stay.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: pd-group-filter
- type: pd-kvcache-aware-scorer
- type: min-score-picker
- type: pd-header-handler
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let name = params.pd_group_producer_name.as_deref();
        let groups = cx.reads_with("pdGroupProducerName", name, params.moved())?;
        Ok(Roles { filter: Some(Arc::new(Self { groups })), ..Roles::default() })
    }
}

impl Filter for PdGroupFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        if let Some(groups) = &ask.facts.get(self.groups).groups {
            keep.retain(|i| groups.of(i).is_some());
        }
    }

    fn is_by_labels(&self) -> bool {
        true
    }

    fn why(&self, _: &Ask<'_>, _: usize) -> Option<String> {
        Some("takes no requests of a group".to_owned())
    }
}
