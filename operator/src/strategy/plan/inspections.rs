//! The steps that look why pods are not ready whose status does not say it. Pure.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::step::{Action, Plan};
use crate::kinds::Kind;
use crate::strategy::causes;
use crate::strategy::rollout::Rollout;
use crate::strategy::snapshot::Snapshot;
use crate::strategy::validate::Valid;

/// The most pods that are looked at in one reconcile.
const AT_ONCE: usize = 8;

/// Adds a step for one pod of each workload that is not complete, if no status of its pods says why.
pub(super) fn add(plan: &mut Plan, snapshot: &Snapshot, valid: &Valid, now: Timestamp) {
    let incomplete = valid.workloads.iter().filter(|workload| {
        let live = snapshot.object(Kind::Deployment, &workload.name);
        live.is_some_and(|live| snapshot.owns(live) && !Rollout::of(live).is_complete())
    });
    let silent = incomplete.filter_map(|workload| causes::silent(snapshot, &workload.name)).take(AT_ONCE);
    for pod in silent {
        // Its beginning is a whole second, so that it may be younger by one. With a clock that is behind the API server's,
        // it is as old as it is known here.
        let age = now
            .as_second()
            .saturating_sub(pod.since + 1)
            .try_into()
            .map_or(Duration::ZERO, Duration::from_secs);
        plan.add(Action::Inspect { pod: pod.name.to_owned(), state: pod.state, age }, Vec::new());
    }
}
