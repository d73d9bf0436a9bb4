//! The deepest known cause for which the pickers of a workload are not all ready. Pure.
//!
//! Looked for in this order: what keeps the Deployment from making pods, then what its pods' status says, then, where
//! that is nothing, the latest warning among the Events of a pod.

use kube::core::DynamicObject;

use super::cause::Cause;
use super::outcome::Outcome;
use super::silent_state::SilentState;
use super::snapshot::Snapshot;
use crate::cache::{PodFacts, ProblemKind};

mod creation;
mod image;
mod pod;
mod scheduling;
mod text;
mod warning;

/// The deepest known cause for which not all pickers of the Deployment `live` are ready.
pub(super) fn of(snapshot: &Snapshot, outcome: &Outcome, live: &DynamicObject) -> Option<Cause> {
    creation::of(live).or_else(|| {
        let name = live.metadata.name.as_deref().unwrap_or_default();
        let pods = unready(snapshot, name);
        let known = pods.iter().filter_map(|(pod, kind)| {
            let cause = pod::of(snapshot, kind).or_else(|| warning::of(snapshot, outcome, pod, kind))?;
            Some((rank(kind), cause))
        });
        // Of equals the first by name, so that the answer is the same each time.
        known.min_by_key(|(rank, _)| *rank).map(|(_, cause)| cause)
    })
}

/// A pod whose status does not say why it is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SilentPod<'a> {
    pub name: &'a str,
    pub state: SilentState,
    /// Since when it is in this state, in seconds since 1970.
    pub since: i64,
}

/// Of the pods of the Deployment called `name` the first, if no status of them says why they are not ready.
pub(super) fn silent<'a>(snapshot: &'a Snapshot, name: &str) -> Option<SilentPod<'a>> {
    let pods = unready(snapshot, name);
    let (pod, kind) =
        *pods.first().filter(|_| pods.iter().all(|(_, kind)| pod::of(snapshot, kind).is_none()))?;
    let state = match kind {
        ProblemKind::Unscheduled { .. } => SilentState::Unscheduled,
        ProblemKind::NotReady => SilentState::Running,
        _ => SilentState::Starting,
    };
    let since = pod.problem.as_ref().map_or(0, |problem| problem.since);
    Some(SilentPod { name: &pod.name, state, since })
}

/// The pods of a Deployment that are not ready, by name: of its newest template, and those that are over only where
/// there are no others, since they are replaced.
fn unready<'a>(snapshot: &'a Snapshot, deployment: &str) -> Vec<(&'a PodFacts, &'a ProblemKind)> {
    let pods = || snapshot.pickers_of(deployment).filter_map(|pod| Some((pod, pod.problem.as_deref()?)));
    let is_over = |kind: &ProblemKind| matches!(kind, ProblemKind::Failed { .. });
    let all_over = pods().all(|(_, problem)| is_over(&problem.kind));
    let newest = pods()
        .filter(|(_, problem)| all_over || !is_over(&problem.kind))
        .max_by_key(|(_, problem)| problem.created)
        .map(|(pod, _)| &pod.replica_set);
    let mut pods: Vec<_> = pods()
        .filter(|(pod, problem)| Some(&pod.replica_set) == newest && (all_over || !is_over(&problem.kind)))
        .map(|(pod, problem)| (pod, &problem.kind))
        .collect();
    pods.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    pods
}

/// What came furthest says most: a container that ended had a node, volumes and an image.
fn rank(kind: &ProblemKind) -> u8 {
    match kind {
        ProblemKind::Ended { .. } => 0,
        ProblemKind::Waiting { .. } => 1,
        ProblemKind::NotReady => 2,
        ProblemKind::Starting => 3,
        ProblemKind::Unscheduled { .. } => 4,
        ProblemKind::Failed { .. } => 5,
    }
}

#[cfg(test)]
mod tests;
