//! The steps that ask for the Events of pods whose status does not say why they are not ready. Pure.

use super::step::{Action, Plan};
use crate::cache::ProblemKind;
use crate::kinds::Kind;
use crate::strategy::causes;
use crate::strategy::rollout::Rollout;
use crate::strategy::snapshot::Snapshot;
use crate::strategy::validate::Valid;

/// The most pods that are asked about in one reconcile.
const AT_ONCE: usize = 8;

/// Adds a step for one pod of each workload that is not complete, if no status of its pods says why.
pub(super) fn add(plan: &mut Plan, snapshot: &Snapshot, valid: &Valid) {
    let incomplete = valid.workloads.iter().filter(|workload| {
        let live = snapshot.object(Kind::Deployment, &workload.name);
        live.is_some_and(|live| snapshot.owns(live) && !Rollout::of(live).is_complete())
    });
    let silent = incomplete.filter_map(|workload| causes::silent(snapshot, &workload.name)).take(AT_ONCE);
    for pod in silent {
        let runs = pod.problem.as_ref().is_some_and(|problem| problem.kind == ProblemKind::NotReady);
        plan.add(Action::Inspect { pod: pod.name.clone(), runs }, Vec::new());
    }
}
