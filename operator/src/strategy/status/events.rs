//! The Events of a reconcile: made when something changed, and never otherwise. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crds::{PoolState, PoolStatus, RoutingStrategyStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::findings::named;
use crate::strategy::event::StrategyEvent;
use crate::strategy::outcome::{BoundPool, Outcome};

/// Longest note of an Event.
const MAX_NOTE: usize = 1000;

fn given_back(pool: &str) -> StrategyEvent {
    StrategyEvent::normal("PoolReleased", format!("pool {pool} has its former picker again"))
}

/// The failure mode of a pool that was bound, and the one before.
fn failure_mode(bound: &BoundPool) -> String {
    match (&bound.mode, &bound.former_mode) {
        (Some(mode), Some(former)) if mode == former => format!("; failureMode stays {mode}"),
        (Some(mode), Some(former)) => format!("; failureMode is {mode} (was {former})"),
        (Some(mode), None) => format!("; failureMode is {mode}"),
        (None, _) => String::new(),
    }
}

/// Events of what was done to pools.
pub(in crate::strategy) fn pools(outcome: &Outcome) -> Vec<StrategyEvent> {
    let bound = outcome.bound.iter().map(|bound| match &bound.flipped_by {
        // Whoever did it may do it again, and then the pool is theirs.
        Some(manager) => {
            let BoundPool { pool, picker, .. } = bound;
            let other = bound.before.as_deref().unwrap_or("no picker");
            let note = format!(
                "{manager} had set pool {pool} to {other}; it refers to {picker} again. Name {picker} where {manager} has \
                 it from: when {manager} does so once more within 24 hours, the pool is left to it"
            );
            StrategyEvent::warning("PoolRetaken", note)
        }
        None => {
            let was = bound.before.as_ref().map(|before| format!(" (was {before})")).unwrap_or_default();
            StrategyEvent::normal("PoolBound", format!("pool {} refers to its pickers{was}{}", bound.pool, failure_mode(bound)))
        }
    });
    let released = outcome.released.iter().map(|pool| given_back(pool));
    let given_up = outcome.given_up.iter().map(|(pool, refusal)| {
        let note =
            format!("pool {pool} still refers to its picker: its former reference is refused: {refusal}");
        StrategyEvent::warning("PoolNotReleased", note.chars().take(MAX_NOTE).collect::<String>())
    });
    bound.chain(released).chain(given_up).collect()
}

/// Events of what is new in a status.
pub(in crate::strategy) fn turned(
    old: &RoutingStrategyStatus,
    new: &RoutingStrategyStatus,
) -> Vec<StrategyEvent> {
    let mut events = Vec::new();
    if old.revision != new.revision
        && let Some(revision) = &new.revision
    {
        let generation = new.observed_generation;
        events.push(StrategyEvent::normal(
            "Accepted",
            format!("generation {generation} is revision {revision}"),
        ));
    }
    let of_pools = pools_turned(old, new);
    let told = |reason: &str| new.pools.iter().any(|pool| pool.reason.as_deref() == Some(reason));
    for condition in &new.conditions {
        let before = old.conditions.iter().find(|c| c.type_ == condition.type_);
        let said = |c: &Condition| (c.status.clone(), c.reason.clone());
        let same = before.map(said) == Some(said(condition));
        let is_false = condition.status == "False";
        let news = match condition.type_.as_str() {
            // A second wrong edit is news even if it is wrong in the same way.
            "Accepted" if is_false => !same || before.map(|c| &c.message) != Some(&condition.message),
            "Programmed" => !same && is_false,
            // What is about pools is told of the pools.
            "PoolsBound" | "Available" => !same && is_false && !told(&condition.reason),
            // That a pool can't be given back is said there alone.
            "Ready" => !same && condition.reason == "Releasing",
            "Overlapping" => !same,
            _ => false,
        };
        if news && !WAITS.contains(&condition.reason.as_str()) {
            events.push(StrategyEvent::warning(&condition.reason, condition.message.clone()));
        }
        if condition.type_ == "Paused" && !same {
            events.push(StrategyEvent::normal("Paused", condition.message.clone()));
        }
        if condition.reason == "UpgradePending" && !same {
            events.push(StrategyEvent::normal("UpgradePending", condition.message.clone()));
        }
        if condition.type_ == "Programmed" && !same && condition.status == "True" {
            events.push(StrategyEvent::normal("RevisionProgrammed", condition.message.clone()));
        }
    }
    let is_paused = |status: &RoutingStrategyStatus| status.conditions.iter().any(|c| c.type_ == "Paused");
    if is_paused(old) && !is_paused(new) {
        events.push(StrategyEvent::normal("Resumed", "nothing is paused any more"));
    }
    events.extend(of_pools);
    // One text is one piece of news, whatever says it.
    let mut notes = BTreeSet::new();
    events.retain(|event| notes.insert(event.note.clone()));
    events
}

/// Reasons that are no news: that something takes its time, or what is told of pools in other words.
const WAITS: [&str; 6] = ["Pending", "Progressing", "PoolNotFound", "NotUsed", "NotAccepted", "Paused"];

/// Events of pools that are worse than before in a new way. What several of them have in common is told once, and not at
/// all where others had it before.
fn pools_turned(old: &RoutingStrategyStatus, new: &RoutingStrategyStatus) -> Vec<StrategyEvent> {
    let mut turned = BTreeMap::<_, Vec<&str>>::new();
    for pool in &new.pools {
        let (Some(reason), Some(message)) = (&pool.reason, &pool.message) else { continue };
        let state = |pool: &PoolStatus| (pool.state == Some(PoolState::Contested), pool.reason.clone());
        let before = old.pools.iter().find(|before| (before.group, &before.name) == (pool.group, &pool.name));
        let known =
            old.pools.iter().any(|other| state(other) == state(pool) && other.message == pool.message);
        if WAITS.contains(&reason.as_str()) || before.map(state) == Some(state(pool)) || known {
            continue;
        }
        let reason = if pool.state == Some(PoolState::Contested) { "Contested" } else { reason };
        turned.entry((reason, message)).or_default().push(&pool.name);
    }
    let told = turned.into_iter().map(|((reason, message), pools)| {
        let note = match pools.as_slice() {
            [pool] if message.starts_with(&format!("pool {pool} ")) => message.clone(),
            [pool] => format!("pool {pool}: {message}"),
            pools => format!("pools {}: {message}", named(pools)),
        };
        StrategyEvent::warning(reason, note)
    });
    told.collect()
}

#[cfg(test)]
mod tests;
