//! The Events of a reconcile: made when something changed, and never otherwise. Pure.

use crds::RoutingStrategyStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

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
    let bound = outcome.bound.iter().map(|bound| {
        let was = bound.former.as_ref().map(|former| format!(" (was {former})")).unwrap_or_default();
        let note = format!("pool {} refers to its pickers{was}{}", bound.name, failure_mode(bound));
        StrategyEvent::normal("PoolBound", note)
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
    for condition in &new.conditions {
        let before = old.conditions.iter().find(|c| c.type_ == condition.type_);
        let said = |c: &Condition| (c.status.clone(), c.reason.clone());
        let same = before.map(said) == Some(said(condition));
        let news = match condition.type_.as_str() {
            // A second wrong edit is news even if it is wrong in the same way.
            "Accepted" if condition.status == "False" => {
                !same || before.map(|c| &c.message) != Some(&condition.message)
            }
            "PoolsBound" | "Available" | "Programmed" => !same && condition.status == "False",
            // That a pool can't be given back is said there alone.
            "Ready" => !same && condition.reason == "Releasing",
            "Contested" => !same,
            _ => false,
        };
        if news {
            let waits = ["Pending", "Progressing", "PoolNotFound", "NotAccepted", "Paused"]
                .contains(&condition.reason.as_str());
            let reason = if condition.type_ == "Contested" { "Contested" } else { &condition.reason };
            // That something takes its time is in the status, and what is not accepted is told once.
            if !waits {
                events.push(StrategyEvent::warning(reason, condition.message.clone()));
            }
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
    events
}

#[cfg(test)]
mod tests;
