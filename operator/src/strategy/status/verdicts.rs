//! The verdict on each aspect of a strategy, from which its conditions are made.

use std::collections::BTreeMap;

use crds::{PickerStatus, PoolState, UpdatePolicy};
use kube_ext::host_network::{ACTIVE_PORTS, HostPod, HostPods};
use picker_core::config::ErrorKind;

use super::conditions::{Verdict, Verdicts, join};
use super::findings::{first, named, summary};
use super::pools::Judged;
use super::warnings::{self, in_spec};
use crate::strategy::outcome::Outcome;
use crate::strategy::rollout::Rollout;
use crate::strategy::snapshot::Snapshot;
use crate::strategy::validate::Valid;

pub(super) fn of(
    snapshot: &Snapshot,
    valid: &Valid,
    outcome: &Outcome,
    judged: &[Judged],
    revision: Option<&str>,
) -> Verdicts {
    let pools = valid.served().count();
    let pools = if pools == 1 { "1 pool".to_owned() } else { format!("{pools} pools") };
    let none = no_pools(snapshot, valid);
    let deepest: Vec<_> = judged.iter().filter_map(|pool| Some((pool.name(), pool.deepest()?))).collect();
    Verdicts {
        accepted: accepted(snapshot, valid, outcome),
        pools: none.clone().or_else(|| summary(&deepest, judged.len())),
        pools_bound: none.unwrap_or_else(|| pools_bound(judged)),
        has_endpoints: has_endpoints(snapshot, valid),
        available: with_notes(available(valid, outcome, judged), snapshot, outcome),
        programmed: of_an_accepted_generation(programmed(snapshot, valid, judged, revision), snapshot, valid),
        contested: contested(judged),
        overlapping: overlapping(snapshot),
        paused: paused(snapshot, valid, outcome),
        unfinished: unfinished(outcome),
        summary: format!("every picker of {pools} serves revision {}", revision.unwrap_or_default()),
    }
}

fn accepted(snapshot: &Snapshot, valid: &Valid, outcome: &Outcome) -> Verdict {
    match (&valid.routing, &valid.picker) {
        (Err(errors), _) => {
            let unknown = errors.0.iter().all(|e| e.kind == ErrorKind::UnknownPlugin);
            let reason = if unknown { "UnknownPlugin" } else { "InvalidRouting" };
            let findings: Vec<_> = errors.0.iter().map(|e| (in_spec(&e.path), e.message.clone())).collect();
            // First, since it is what one wants to know, and short.
            let lead = match (snapshot.revision(), ready_pickers(snapshot, valid, outcome)) {
                (None, _) => String::new(),
                (Some(last), (0, _)) => format!("revision {last} stays, and no picker is ready; "),
                (Some(last), _) => format!("revision {last} still serves; "),
            };
            Verdict::bad(reason, join(&lead, &findings))
        }
        (Ok(_), Err(error)) => Verdict::bad("InvalidPicker", error.to_string()),
        (Ok(revision), Ok(_)) => {
            let lead = format!("the routing compiles to revision {revision}");
            let message = warnings::with(&lead, &valid.warnings);
            Verdict { message, ..Verdict::good("Accepted", lead) }
        }
    }
}

/// What concerns all claims, whatever pools there are.
fn no_pools(snapshot: &Snapshot, valid: &Valid) -> Option<Verdict> {
    if let Some(group) = valid.unserved.first() {
        let message = format!("InferencePools of {} are not installed in this cluster", group.group());
        return Some(Verdict::bad("PoolNotFound", message));
    }
    let none = valid.workloads.is_empty() && valid.of_others.is_empty() && valid.missing.is_empty();
    none.then(|| {
        let message =
            format!("no InferencePool of namespace {} is selected by spec.pools", snapshot.namespace());
        Verdict::bad("PoolNotFound", message)
    })
}

fn pools_bound(pools: &[Judged]) -> Verdict {
    let unbound: Vec<_> = pools
        .iter()
        .filter_map(|pool| {
            let finding = pool.unbound.as_ref()?;
            // Why it waits says more than that it does.
            let waits = finding.verdict.reason == "Pending";
            let why = pool.unavailable.as_ref().filter(|_| waits);
            Some((pool.name(), why.map_or_else(|| finding.clone(), |why| why.as_pending())))
        })
        .collect();
    let unbound: Vec<_> = unbound.iter().map(|(name, finding)| (*name, finding)).collect();
    summary(&unbound, pools.len()).unwrap_or_else(|| {
        let warning = pools.iter().find_map(|pool| pool.warning.as_ref());
        let warning = warning.map(|warning| format!("; {warning}")).unwrap_or_default();
        Verdict::good("Bound", format!("every pool refers to its pickers{warning}"))
    })
}

/// What else keeps the strategy from being ready: the status must not promise what was not written.
fn unfinished(outcome: &Outcome) -> Option<Verdict> {
    if !outcome.blocked.is_empty() {
        return Some(releasing(&outcome.blocked));
    }
    if !outcome.frozen.is_empty() {
        return Some(Verdict::bad("Paused", frozen(outcome)));
    }
    outcome.error.as_ref().map(|_| Verdict::bad("Pending", "not everything could be written; trying again"))
}

/// What keeps pools from being given back: their names, empty where it is none of them, and why.
pub(super) fn releasing(blocked: &BTreeMap<String, String>) -> Verdict {
    let place =
        |pool: &str| if pool.is_empty() { "the finalizer".to_owned() } else { format!("pool {pool}") };
    let findings: Vec<_> = blocked.iter().map(|(pool, why)| (place(pool), why.clone())).collect();
    Verdict::bad("Releasing", join("not given back yet: ", &findings))
}

/// What stands still by `spec.paused`, and what waits for its end.
fn paused(snapshot: &Snapshot, valid: &Valid, outcome: &Outcome) -> Option<Verdict> {
    let paused = snapshot.strategy.spec.paused;
    let (reason, what) = match (paused.workload, paused.routing) {
        (true, true) => {
            ("WorkloadAndRouting", "nothing is written, and pickers take no edit of the routing up")
        }
        (true, false) => {
            ("Workload", "nothing is written; pickers serve on, and take edits of the routing up")
        }
        (false, true) => ("Routing", "pickers take no edit of the routing up"),
        (false, false) => return None,
    };
    let mut message = what.to_owned();
    if !outcome.frozen.is_empty() {
        message += &format!("; {}", frozen(outcome));
    }
    if let (Ok(asked), Some(held)) =
        (&valid.routing, snapshot.revision().filter(|_| snapshot.holds_routing()))
        && asked != held
    {
        message += &format!("; revision {held} stays, and spec.routing is {asked}");
    }
    Some(Verdict::good(reason, message))
}

/// The writes that wait, the first of them by name.
fn frozen(outcome: &Outcome) -> String {
    format!("waits for the end of spec.paused: {}", first(&outcome.frozen, MOST_NAMED, "; "))
}

fn contested(pools: &[Judged]) -> Option<Verdict> {
    let contested = pools.iter().filter(|pool| pool.status.state == Some(PoolState::Contested));
    let contested: Vec<_> =
        contested.filter_map(|pool| Some((pool.name(), pool.unbound.as_ref()?))).collect();
    let verdict = summary(&contested, pools.len())?;
    Some(Verdict::good("FieldManagedElsewhere", verdict.message))
}

fn overlapping(snapshot: &Snapshot) -> Option<Verdict> {
    let overlap = snapshot.overlap.as_ref()?;
    let message = format!(
        "the operator {} (namespace/Lease) works on this strategy; {} would too, and yields: let each watch other namespaces, or \
         uninstall one",
        overlap.holder,
        overlap.yielding.join(", ")
    );
    Some(Verdict::good("AnotherOperator", message))
}

fn has_endpoints(snapshot: &Snapshot, valid: &Valid) -> Verdict {
    for served in valid.served() {
        let mut selected = snapshot.pods.iter().filter(|pod| served.pool.selects(&pod.labels)).peekable();
        let name = served.pool.name();
        if selected.peek().is_none() {
            let message =
                format!("pool {name} selects no pod of namespace {}; see its selector", snapshot.namespace());
            return Verdict::bad("NoPods", message);
        }
        if !selected.any(|pod| pod.ready) {
            return Verdict::bad("NoneReady", format!("no pod that pool {name} selects is ready"));
        }
    }
    let ready = "every pool selects a ready pod";
    match valid.workloads.first() {
        Some(_) => match unclear_ports(snapshot, valid) {
            Some(warning) => Verdict::good("EndpointsReady", format!("{ready}; {warning}")),
            None => Verdict::good("EndpointsReady", ready),
        },
        None => Verdict::bad("NoPods", "there is no pool"),
    }
}

/// The warning about pods that share the address of their node and don't say which of their pool's ports is whose.
fn unclear_ports(snapshot: &Snapshot, valid: &Valid) -> Option<String> {
    valid.served().find_map(|served| {
        let hosts: Vec<_> = snapshot
            .pods
            .iter()
            .filter(|pod| served.pool.selects(&pod.labels))
            .filter_map(|pod| Some((pod.name.as_str(), pod.host.as_ref()?)))
            .collect();
        let known = HostPods::new(hosts.iter().map(|(_, host)| *host), &served.pool.target_ports);
        let unclear = |(_, host): &&(&str, &HostPod)| known.own_ports(host).unclear;
        let names: Vec<_> = hosts.iter().filter(unclear).take(MOST_NAMED).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| {
            format!(
                "give pods {} of pool {} the annotation {} or their containerPort: they share the address of a node, and \
                 each counts as owner of all ports",
                names.join(", "),
                served.pool.name(),
                ACTIVE_PORTS[0],
            )
        })
    })
}

/// How many pods, or writes that wait, a message names.
const MOST_NAMED: usize = 2;

fn available(valid: &Valid, outcome: &Outcome, pools: &[Judged]) -> Verdict {
    if valid.workloads.is_empty() {
        return Verdict::bad("Progressing", "there are no pickers before there is a pool");
    }
    // Names that the strategy needs whatever pools it has: all that stands in the way is told at once.
    let of_a_pool = |name: &String| valid.workloads.iter().any(|workload| workload.name == *name);
    if outcome.taken.keys().any(|name| !of_a_pool(name)) {
        let all: Vec<_> = outcome.taken.values().map(ToString::to_string).collect();
        return Verdict::bad("NameTaken", all.join("; "));
    }
    let unavailable: Vec<_> =
        pools.iter().filter_map(|pool| Some((pool.name(), pool.unavailable.as_ref()?))).collect();
    summary(&unavailable, pools.len())
        .unwrap_or_else(|| Verdict::good("Available", "every wanted picker is ready"))
}

/// `available` with what else is to be known of the pickers.
fn with_notes(mut available: Verdict, snapshot: &Snapshot, outcome: &Outcome) -> Verdict {
    if snapshot.strategy.spec.picker.metrics.service_monitor && !snapshot.monitors {
        let message = "no ServiceMonitor is made before monitoring.coreos.com/v1 is installed";
        available = Verdict { message: format!("{}; {message}", available.message), ..available };
    }
    let Some(first) = outcome.postponed.first() else { return available };
    let more = match outcome.postponed.len() {
        1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    let until = match snapshot.strategy.spec.picker.update_policy {
        UpdatePolicy::Automatic => "their turn comes",
        UpdatePolicy::Manual => "spec.picker is changed, or its updatePolicy",
    };
    let message = format!(
        "{}; UpgradePending: the pods of {first}{more} are as an earlier release made them until {until}",
        available.message
    );
    match available.holds {
        true => Verdict::good("UpgradePending", message),
        false => Verdict::bad(available.reason, message),
    }
}

/// Ready pickers of the wanted ones, as a column shows them.
pub(super) fn pickers(snapshot: &Snapshot, valid: &Valid, outcome: &Outcome) -> String {
    let (ready, wanted) = ready_pickers(snapshot, valid, outcome);
    format!("{ready}/{wanted}")
}

/// How many pickers are ready, and how many are wanted.
fn ready_pickers(snapshot: &Snapshot, valid: &Valid, outcome: &Outcome) -> (i64, i64) {
    let (mut ready, mut wanted) = (0, 0);
    for workload in &valid.workloads {
        if let Some(live) = outcome.deployment(snapshot, &workload.name) {
            let rollout = Rollout::of(live);
            ready += rollout.ready.min(rollout.wanted);
            wanted += rollout.wanted;
        }
    }
    (ready, wanted)
}

/// `programmed` for the generation that the status is about: what pickers serve is not what it asks for when it is not
/// accepted, however well they serve it.
fn of_an_accepted_generation(programmed: Verdict, snapshot: &Snapshot, valid: &Valid) -> Verdict {
    if valid.routing.is_ok() && valid.picker.is_ok() {
        return programmed;
    }
    let message = format!("generation {} is not accepted; {}", snapshot.generation(), programmed.message);
    Verdict::bad("NotAccepted", message)
}

fn programmed(snapshot: &Snapshot, valid: &Valid, pools: &[Judged], revision: Option<&str>) -> Verdict {
    if let Ok(accepted) = &valid.routing
        && revision != Some(accepted)
    {
        // What serves is the one before, and this generation asks for another.
        if let Some(held) = revision.filter(|_| snapshot.holds_routing()) {
            return Verdict::bad(
                "Paused",
                format!("spec.paused holds revision {held}; spec.routing is {accepted}"),
            );
        }
        return Verdict::bad(
            "Pending",
            format!("revision {accepted} is not in the history yet; trying again"),
        );
    }
    let Some(revision) = revision else {
        return Verdict::bad("Pending", "no routing was accepted yet");
    };
    let none = PickerStatus::default();
    let entries = snapshot.strategy.status.as_ref().map(|status| &status.pickers);
    let entry = |pod: &str| entries.and_then(|entries| entries.get(pod)).unwrap_or(&none);
    let ready: Vec<_> = snapshot.ready_pickers().map(|pod| pod.name.as_str()).collect();
    if ready.is_empty() {
        return Verdict::bad("Pending", "no picker is ready");
    }
    let behind: Vec<_> =
        ready.iter().filter(|pod| entry(pod).revision.as_deref() != Some(revision)).copied().collect();
    if behind.is_empty() {
        let message = format!("every ready picker serves revision {revision}");
        let elsewhere: Vec<_> = pools.iter().filter(|pool| pool.is_elsewhere()).map(Judged::name).collect();
        if elsewhere.is_empty() {
            return Verdict::good("Programmed", message);
        }
        let message = format!("{message}; the requests of pool {} go elsewhere", named(&elsewhere));
        // Nobody asks the pickers then.
        return match elsewhere.len() < valid.served().count() {
            true => Verdict::good("Programmed", message),
            false => Verdict::bad("NotUsed", message),
        };
    }
    if let Some((pod, error)) = behind.iter().find_map(|pod| Some((pod, entry(pod).error.as_ref()?))) {
        return Verdict::bad("ReplicaError", format!("{pod}: {error}"));
    }
    let served = ready.len() - behind.len();
    let message = format!("{served} of {} serve revision {revision}; not {}", ready.len(), behind.join(", "));
    Verdict::bad("Pending", message)
}
