//! The state of each pool that a strategy claims, with what keeps it from being better, and where its requests go. Pure.

use crds::{Pool, PoolGroup, PoolState, PoolStatus, PoolTraffic};

use super::findings::Finding;
use crate::strategy::binding::BindingState;
use crate::strategy::cause::Cause;
use crate::strategy::causes;
use crate::strategy::outcome::Outcome;
use crate::strategy::rollout::Rollout;
use crate::strategy::snapshot::Snapshot;
use crate::strategy::validate::Valid;
use crate::strategy::workload::{ServedPool, Workload};

/// A claimed pool as it was judged.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub status: PoolStatus,
    /// Why it does not refer to its pickers.
    pub unbound: Option<Finding>,
    /// Why not all of its pickers are ready.
    pub unavailable: Option<Finding>,
    /// What its owner ought to know of a reference that is right.
    pub warning: Option<String>,
}

impl Judged {
    /// What is to be mended first: a pool that waits for a picker waits for what keeps the picker.
    pub fn deepest(&self) -> Option<&Finding> {
        let waits = |finding: &&Finding| finding.verdict.reason == "Pending";
        let own = self.unbound.as_ref().filter(|finding| !waits(finding));
        own.or(self.unavailable.as_ref()).or(self.unbound.as_ref())
    }

    /// Whether the pool names another picker than the strategy's, and is not ours to write.
    pub fn is_elsewhere(&self) -> bool {
        let elsewhere = [PoolState::Elsewhere, PoolState::Contested, PoolState::WrongPort];
        self.status.state.is_some_and(|state| elsewhere.contains(&state))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.status.name
    }
}

/// All pools that the strategy claims, by group and name.
pub(super) fn judged(snapshot: &Snapshot, valid: &Valid, outcome: &Outcome) -> Vec<Judged> {
    let own = valid.workloads.iter().flat_map(|workload| {
        workload.pools.iter().map(|served| of_served(snapshot, valid, outcome, workload, served))
    });
    let of_others = valid.of_others.iter().map(|(pool, holder)| {
        let shared = format!("the older strategy {holder} has it");
        let message = format!("pool {} belongs to the older strategy {holder}", pool.name());
        let finding = Finding::new("Conflict", message).shared(shared);
        let status = PoolStatus { traffic: Some(PoolTraffic::OtherPicker), ..named(pool.group, pool.name()) };
        unserved(status, PoolState::Conflict, finding)
    });
    let missing = valid.missing.iter().map(|(group, name)| {
        let namespace = snapshot.namespace();
        let message = format!("no InferencePool {name} in namespace {namespace}");
        let shared = format!("no such InferencePool in namespace {namespace}");
        unserved(
            named(*group, name),
            PoolState::NotFound,
            Finding::new("PoolNotFound", message).shared(shared),
        )
    });
    let mut pools: Vec<_> = own.chain(of_others).chain(missing).collect();
    pools.sort_by(|a, b| (a.status.group, &a.status.name).cmp(&(b.status.group, &b.status.name)));
    pools
}

fn named(group: PoolGroup, name: &str) -> PoolStatus {
    PoolStatus { name: name.to_owned(), group, ..PoolStatus::default() }
}

/// A pool that the strategy does not drive.
fn unserved(mut status: PoolStatus, state: PoolState, finding: Finding) -> Judged {
    status.state = Some(state);
    told(Judged { status, unbound: Some(finding), unavailable: None, warning: None })
}

/// `judged` with reason and message of its deepest finding in its status.
fn told(mut judged: Judged) -> Judged {
    let deepest = judged.deepest().map(|finding| finding.verdict.clone());
    judged.status.reason = deepest.as_ref().map(|verdict| verdict.reason.to_owned());
    judged.status.message = deepest.map(|verdict| verdict.message).or_else(|| judged.warning.clone());
    judged
}

fn of_served(
    snapshot: &Snapshot,
    valid: &Valid,
    outcome: &Outcome,
    workload: &Workload,
    served: &ServedPool,
) -> Judged {
    let pool = &served.pool;
    let binding = outcome.bindings.get(&(pool.group, pool.name().to_owned()));
    let bound = binding.is_some_and(BindingState::is_bound);
    let rollout = outcome.deployment(snapshot, &workload.name).map(Rollout::of);
    let ready = rollout.as_ref().is_some_and(|rollout| rollout.ready > 0);
    let traffic = match binding {
        _ if bound && ready => PoolTraffic::Pickers,
        _ if bound => unanswered(valid, served),
        Some(BindingState::WrongPort(_)) => unanswered(valid, served),
        _ if pool.picker().is_some() => PoolTraffic::OtherPicker,
        _ => PoolTraffic::NoPicker,
    };
    let unbound = binding_finding(pool, binding);
    let unavailable = unavailable(snapshot, outcome, workload).map(|finding| match traffic {
        PoolTraffic::FailOpen if bound => {
            before(finding, "no picker is ready, so gateways choose endpoints themselves (FailOpen)")
        }
        PoolTraffic::FailClose if bound => {
            before(finding, "no picker is ready, so requests are refused (FailClose)")
        }
        _ => finding,
    });
    let takes_time = |finding: &Finding| super::findings::TAKES_TIME.contains(&finding.verdict.reason);
    let state = match (binding, &unavailable) {
        (Some(BindingState::Bound | BindingState::OtherMode(_)), None) => PoolState::Ready,
        (Some(BindingState::Bound | BindingState::OtherMode(_)), Some(finding)) => {
            if takes_time(finding) && ready { PoolState::Progressing } else { PoolState::Degraded }
        }
        (Some(BindingState::WrongPort(_)), _) => PoolState::WrongPort,
        (Some(BindingState::Elsewhere(_)), _) => PoolState::Elsewhere,
        (Some(BindingState::Contested(_)), _) => PoolState::Contested,
        (Some(BindingState::Waiting(_)) | None, _) => PoolState::Waiting,
    };
    let status = PoolStatus {
        picker_service: Some(served.service.clone()),
        port: Some(served.port.into()),
        bound,
        state: Some(state),
        traffic: Some(traffic),
        pickers: rollout.map(|rollout| format!("{}/{}", rollout.ready.min(rollout.wanted), rollout.wanted)),
        ..named(pool.group, pool.name())
    };
    let warning = match binding {
        Some(BindingState::OtherMode(warning)) => Some(warning.clone()),
        _ => None,
    };
    told(Judged { status, unbound, unavailable, warning })
}

/// What gateways do with the requests of a pool that names a Service behind which nothing answers.
fn unanswered(valid: &Valid, served: &ServedPool) -> PoolTraffic {
    let pool = &served.pool;
    let live = pool.picker().filter(|live| live.is_service(&served.service)).map(|live| live.failure_mode);
    let wanted = || {
        let binding = valid
            .bindings
            .iter()
            .find(|binding| (binding.pool.group, binding.pool.name()) == (pool.group, pool.name()));
        binding.map(|binding| binding.reference.failure_mode.clone())
    };
    match live.or_else(wanted).flatten().as_deref() {
        Some("FailOpen") => PoolTraffic::FailOpen,
        _ => PoolTraffic::FailClose,
    }
}

fn before(finding: Finding, lead: &str) -> Finding {
    let stalls = finding.verdict.stalls;
    let with = |text: &str| format!("{lead}: {text}");
    let (message, shared) = (with(&finding.verdict.message), with(&finding.shared));
    Finding::new(finding.verdict.reason, message).shared(shared).stalling(stalls)
}

fn binding_finding(pool: &Pool, binding: Option<&BindingState>) -> Option<Finding> {
    let finding = match binding {
        Some(BindingState::Bound | BindingState::OtherMode(_)) => return None,
        Some(BindingState::Elsewhere(m) | BindingState::Contested(m)) => {
            Finding::new("FieldManagedElsewhere", m.clone())
        }
        Some(BindingState::WrongPort(m)) => Finding::new("WrongPort", m.clone()),
        Some(BindingState::Waiting(m)) => Finding::new("Pending", m.clone()),
        None => Finding::new("Pending", "not looked at yet"),
    };
    // It is named before the message of several.
    let own = format!("pool {} ", pool.name());
    let shared = finding.shared.strip_prefix(&own).map(str::to_owned);
    Some(match shared {
        Some(shared) => finding.shared(shared),
        None => finding,
    })
}

/// Why not all pickers of a workload are ready.
fn unavailable(snapshot: &Snapshot, outcome: &Outcome, workload: &Workload) -> Option<Finding> {
    let picker = &workload.name;
    if let Some(taken) = outcome.taken.get(picker) {
        return Some(Finding::new("NameTaken", taken.to_string()));
    }
    if let Some(refusal) = outcome.refused.get(picker) {
        let message = format!("the API server refuses an object of {picker}: {refusal}");
        return Some(Finding::new("Refused", message));
    }
    if outcome.unwritten.contains(picker) {
        let message = format!("the objects of {picker} could not all be written; trying again");
        let shared = "not everything could be written; trying again";
        return Some(Finding::new("Progressing", message).shared(shared));
    }
    if outcome.later.contains(picker) {
        let message = format!("the objects of {picker} are being written");
        return Some(Finding::new("Progressing", message).shared("being written"));
    }
    let Some(live) = outcome.deployment(snapshot, picker) else {
        let message = format!("Deployment {picker} is being made");
        return Some(Finding::new("Progressing", message).shared("being made"));
    };
    let rollout = Rollout::of(live);
    if rollout.is_complete() {
        return None;
    }
    if let Some(cause) = causes::of(snapshot, outcome, live) {
        let line = told_before(snapshot, workload, &cause).unwrap_or_else(|| cause.line());
        return Some(Finding::new(cause.reason, line).stalling(rollout.is_overdue()));
    }
    if rollout.is_stuck() {
        let message = format!("Deployment {picker} makes no progress; see its pods");
        let finding = Finding::new("Unavailable", message).shared("no progress; see the pods");
        return Some(finding.stalling(rollout.is_overdue()));
    }
    let message = format!("Deployment {picker} is rolling out");
    Some(Finding::new("Progressing", message).shared("rolling out"))
}

/// The line that the status has for this very cause, where that is told without its detail just now.
fn told_before(snapshot: &Snapshot, workload: &Workload, cause: &Cause) -> Option<String> {
    let mut pools = snapshot.strategy.status.as_ref()?.pools.iter();
    let old = pools.find(|pool| pool.picker_service.as_ref() == Some(&workload.name))?;
    let message = old.message.as_ref().filter(|_| old.reason.as_deref() == Some(cause.reason))?;
    let at = message.find(&cause.what).filter(|_| cause.detail.is_none())?;
    Some(message[at..].to_owned())
}
