//! `pd-header-handler`: tells the leader of a group of pods who prefills and who decodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision};
use crate::booking::{Launch, Until};
use crate::edits::Edits;
use crate::endpoint::Load;
use crate::fact::Slot;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::pd_groups::{Group, Pair, PdGroups, cheapest};
use crate::role::PreRequest;
use crate::view::View;

#[cfg(test)]
mod tests;

/// Address of the prefill pod, for the leader of its group.
const PREFILL: &str = "x-openfuyao-prefill-pod-address-port";
/// Address of the decode pod, for the same.
const DECODE: &str = "x-openfuyao-decode-pod-address-port";

/// Parameters of `pd-header-handler`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Name of the plugin that tells the groups. Without it, the one called `pd-group-producer`, which is made with
    /// default parameters if there is none.
    pd_group_producer_name: Option<String>,
}

/// Writes the addresses of the pair that does the request, and counts the request at both.
#[derive(Debug)]
pub struct PdHeaderHandler {
    groups: Slot<PdGroups>,
    /// Rises with every request for which no scorer found a pair, so that pods of equal load take turns.
    turn: AtomicUsize,
}

impl Plugin for PdHeaderHandler {
    const TYPE: &'static str = "pd-header-handler";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::Hermes;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Tells the leader of a group, which is the destination, what pods of the group prefill and decode, as address:port in the \
         headers x-openfuyao-prefill-pod-address-port and x-openfuyao-decode-pod-address-port: the pair that a scorer of \
         groups found, and without one the pods to which this picker has the fewest requests in flight. A pod that serves requests \
         alone gets no headers. Name it among the plugins; in a profile it does no more. A picker plugin should name one endpoint \
         alone, since another leader knows none of these pods.";
    const ROLES: &'static [Role] = &[Role::PreRequest];
    const WRITES: &'static [&'static str] = &[PREFILL, DECODE];
    const SAMPLE: &'static str = "\
plugins:
- type: pd-group-filter
- type: random-picker
- type: pd-header-handler
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let groups = cx.reads("pdGroupProducerName", params.pd_group_producer_name.as_deref())?;
        Ok(Roles {
            pre_request: Some(Arc::new(Self { groups, turn: AtomicUsize::new(0) })),
            ..Roles::default()
        })
    }
}

impl PdHeaderHandler {
    /// The pods of `group` with the fewest requests in flight; of equal ones it is the turn of one.
    fn least_busy(view: &View, group: &Group, turn: usize) -> Pair {
        let [prefill, decode] = [&group.prefill, &group.decode].map(|pods| {
            let (before, from) = pods.split_at(turn % pods.len().max(1));
            cheapest(view, from.iter().chain(before), |_| 0.0).0
        });
        Pair { prefill, decode }
    }
}

impl PdHeaderHandler {
    /// The pair that does the request, where that is not the destination itself; `turn` tells whose turn it is where no scorer
    /// found one.
    fn pair(&self, ask: &Ask<'_>, decision: &Decision, turn: impl FnOnce() -> usize) -> Option<Pair> {
        let destination = decision.destination()?[0] as usize;
        let groups = ask.facts.get(self.groups);
        let group = groups.of(destination)?;
        let pair = groups.noted(destination).unwrap_or_else(|| Self::least_busy(ask.view, group, turn()));
        (pair.prefill != destination).then(|| {
            groups.note(destination, pair);
            pair
        })
    }
}

/// Names the pods of `pair` to the leader.
fn tell(ask: &Ask<'_>, Pair { prefill, decode }: Pair, edits: &mut Edits) {
    for (header, pod) in [(PREFILL, prefill), (DECODE, decode)] {
        let address = &ask.view.endpoints[pod].destination;
        edits.set_header(header, Bytes::copy_from_slice(address.as_bytes()));
    }
}

impl PreRequest for PdHeaderHandler {
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        let turn = || self.turn.fetch_add(1, Ordering::Relaxed);
        let Some(pair) = self.pair(ask, decision, turn) else { return };
        tell(ask, pair, &mut launch.edits);
        launch.book(pair.prefill, Load { requests: 1, tokens: 0 }, Until::FirstByte);
        launch.book(pair.decode, Load { requests: 1, tokens: 0 }, Until::End);
    }

    fn dry_run(&self, ask: &Ask<'_>, decision: &Decision, edits: &mut Edits) {
        let turn = || self.turn.load(Ordering::Relaxed);
        if let Some(pair) = self.pair(ask, decision, turn) {
            tell(ask, pair, edits);
        }
    }
}
