//! The fifth step of a reconcile: the status of a strategy and the Events of its change, from the snapshot and the
//! outcome. Pure: only what differs is to be written.

use std::collections::BTreeMap;

use crds::{PoolStatus, PoolTraffic, RoutingStrategyStatus, Summary};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::outcome::Outcome;
use super::plan::{Action, Plan, Report};
use super::snapshot::Snapshot;
use super::validate::Valid;

mod conditions;
mod events;
mod findings;
mod pools;
mod verdicts;
mod warnings;

/// How many pickers without a pod in the cache are asked for in one reconcile.
const MAX_ASKED: usize = 20;

/// Plans the report about a strategy: its status and Events.
///
/// # Errors
/// When a status can't be expressed, which no status of this program is.
pub(super) fn report(
    snapshot: &Snapshot,
    valid: &Valid,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Plan, serde_json::Error> {
    let old = snapshot.strategy.status.clone().unwrap_or_default();
    let new = compute(snapshot, valid, outcome, now);
    let mut patch = difference(&old, &new)?;
    let known = |pod: &str| snapshot.pods.iter().find(|known| known.name == pod);
    let (unseen, seen): (Vec<_>, Vec<_>) = old.pickers.keys().partition(|pod| known(pod).is_none());
    // No pod can be called so: whoever wrote it was no picker.
    let (unseen, impossible): (Vec<_>, Vec<_>) = unseen.into_iter().cloned().partition(|pod| is_dns1123(pod));
    // With its Deployment a picker has passed to another strategy.
    let passed = seen.into_iter().filter(|pod| known(pod).is_some_and(|pod| snapshot.has_passed_on(pod)));
    let gone: Map<_, _> =
        impossible.into_iter().chain(passed.cloned()).map(|pod| (pod, Value::Null)).collect();
    if !gone.is_empty() {
        patch.insert("pickers".to_owned(), gone.into());
    }
    let mut events = events::pools(outcome);
    events.extend(events::turned(&old, &new));
    let mut plan = Plan::default();
    let unseen = unseen.into_iter().take(MAX_ASKED).collect();
    plan.add(Action::Report(Report { patch, unseen, events }), Vec::new());
    Ok(plan)
}

/// Plans the report about a strategy that is being deleted: what was given back, and what keeps it from being let go.
///
/// # Errors
/// As [`report`].
pub(super) fn report_deletion(
    snapshot: &Snapshot,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Plan, serde_json::Error> {
    let mut plan = Plan::default();
    let events = events::pools(outcome);
    if !events.is_empty() {
        plan.add(Action::Tell(events), Vec::new());
    }
    let in_the_way = in_the_way(outcome);
    if !in_the_way.is_empty() {
        let old = snapshot.strategy.status.clone().unwrap_or_default();
        let generation = snapshot.generation();
        let verdict = verdicts::releasing(&in_the_way);
        let conditions = conditions::not_ready(&verdict, &old.conditions, generation, now);
        let new = RoutingStrategyStatus { observed_generation: generation, conditions, ..old.clone() };
        let (patch, events) = (difference(&old, &new)?, events::turned(&old, &new));
        let waits = plan.all_so_far();
        plan.add(Action::Report(Report { patch, unseen: Vec::new(), events }), waits);
    }
    Ok(plan)
}

/// What keeps a strategy from being let go, by pool; without a pool: the finalizer.
fn in_the_way(outcome: &Outcome) -> BTreeMap<String, String> {
    let mut blocked = outcome.blocked.clone();
    // The cache will come to know of a pool that was given back just now.
    if let Some(pool) = outcome.still_held.as_ref().filter(|_| outcome.released.is_empty()) {
        blocked.insert(pool.clone(), "it still carries our record or reference".to_owned());
    }
    blocked.extend(outcome.unfinished.clone().map(|error| (String::new(), error)));
    blocked
}

/// The status that should be, `pickers` aside, which pickers write.
fn compute(snapshot: &Snapshot, valid: &Valid, outcome: &Outcome, now: Timestamp) -> RoutingStrategyStatus {
    let old = snapshot.strategy.status.as_ref();
    let former = snapshot.revision().map(str::to_owned);
    // Only what compiles and is kept is to be served.
    let revision = match &valid.routing {
        Ok(revision) if outcome.kept && !snapshot.holds_routing() => Some(revision.clone()),
        _ => former,
    };
    let judged = pools::judged(snapshot, valid, outcome);
    let verdicts = verdicts::of(snapshot, valid, outcome, &judged, revision.as_deref());
    let pools: Vec<_> = judged.into_iter().map(|pool| pool.status).collect();
    let conditions = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    RoutingStrategyStatus {
        observed_generation: snapshot.generation(),
        revision,
        conditions: verdicts.conditions(conditions, snapshot.generation(), now),
        summary: Some(Summary {
            pools: format!("{}/{}", pools.iter().filter(|pool| pool.bound).count(), pools.len()),
            pickers: verdicts::pickers(snapshot, valid, outcome),
            traffic: traffic(&pools),
        }),
        pools,
        pickers: Default::default(),
    }
}

/// Where the requests of all pools go, in one word, or how many of them go to the pickers.
fn traffic(pools: &[PoolStatus]) -> Option<String> {
    let mut known = pools.iter().map(|pool| pool.traffic);
    let first = known.next()?;
    if known.all(|other| other == first) {
        return first.map(|traffic| traffic.as_str().to_owned());
    }
    let own = pools.iter().filter(|pool| pool.traffic == Some(PoolTraffic::Pickers)).count();
    Some(format!("{} {own}/{}", PoolTraffic::Pickers.as_str(), pools.len()))
}

/// The fields of `new` that `old` has otherwise.
fn difference(
    old: &RoutingStrategyStatus,
    new: &RoutingStrategyStatus,
) -> Result<Map<String, Value>, serde_json::Error> {
    let mut patch = Map::new();
    let mut put = |differs: bool, name: &str, value: Value| {
        if differs {
            patch.insert(name.to_owned(), value);
        }
    };
    put(
        old.observed_generation != new.observed_generation,
        "observedGeneration",
        json!(new.observed_generation),
    );
    put(old.revision != new.revision, "revision", json!(new.revision));
    put(old.conditions != new.conditions, "conditions", serde_json::to_value(&new.conditions)?);
    put(old.pools != new.pools, "pools", serde_json::to_value(&new.pools)?);
    put(old.summary != new.summary, "summary", serde_json::to_value(&new.summary)?);
    Ok(patch)
}

/// Whether a pod could have this name.
fn is_dns1123(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

#[cfg(test)]
mod tests;
