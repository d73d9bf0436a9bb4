//! `pd-group-producer`: which pods prefill and decode together, by their labels.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ask::Ask;
use crate::fact::{Own, Slot};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::pd_groups::{GroupLabels, Groups, PdGroups};
use crate::role::Producer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Tells the groups of pods. Labels change seldom, and comparing them is slow next to the rest of a decision: the groups
/// are kept until labels change.
#[derive(Debug)]
pub struct PdGroupProducer {
    found: Slot<PdGroups>,
    labels: GroupLabels,
    groups: ArcSwap<Groups>,
}

impl Plugin for PdGroupProducer {
    const TYPE: &'static str = "pd-group-producer";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::Hermes;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Tells groups of pods that serve requests together by the labels of openFuyao's charts: pods that prefill, pods that \
         decode, and a leader, which takes the requests and passes them on to one of each. Made by itself when a \
         pd-group-filter or a scorer of groups needs it. All pods of the pool count, also those that the gateway excludes.";
    const ROLES: &'static [Role] = &[Role::Producer];
    const SAMPLE: &'static str = "\
plugins:
- type: pd-group-producer
  parameters: {pdGroupLabelName: example.com/group}
- type: pd-group-filter
- type: scorer-pd-bucket
- type: pd-header-handler
";
    type Params = GroupLabels;

    fn build(labels: GroupLabels, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let labels = labels.checked(cx)?;
        let producer = Self { found: cx.provides(), labels, groups: ArcSwap::default() };
        Ok(Roles { producer: Some(Arc::new(producer)), ..Roles::default() })
    }
}

impl Producer for PdGroupProducer {
    fn produce(&self, ask: &Ask<'_>, _: &Candidates, own: &mut Own) {
        let mut groups = self.groups.load_full();
        if !groups.is_of(ask.view) {
            groups = Arc::new(self.labels.groups(ask.view));
            self.groups.store(groups.clone());
        }
        own.get_mut(self.found).groups = Some(groups);
    }
}
