//! The story, as Events: told when something changed, and never otherwise.

use std::time::Duration;

use crds::RoutingStrategyStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource as _;
use kube::runtime::events::{Event, EventType};
use tokio::time::timeout;
use tracing::debug;

use super::Context;
use super::apply::Done;
use super::dereference::Snapshot;

/// Longest note of an Event.
const MAX_NOTE: usize = 1000;
/// Longest time that telling may take: an Event is no reason to stand still.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What happened, as one Event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Happening {
    warning: bool,
    reason: String,
    note: String,
}

impl Happening {
    fn normal(reason: &str, note: impl Into<String>) -> Self {
        Self { warning: false, reason: reason.to_owned(), note: note.into() }
    }

    fn warning(reason: &str, note: impl Into<String>) -> Self {
        Self { warning: true, reason: reason.to_owned(), note: note.into() }
    }
}

/// Tells what is new in a status, and what was done to pools.
pub(super) async fn publish(
    context: &Context,
    snapshot: &Snapshot,
    old: &RoutingStrategyStatus,
    new: &RoutingStrategyStatus,
    done: &Done,
) {
    let mut happenings = pools(done);
    happenings.extend(turned(old, new));
    tell(context, snapshot, happenings).await;
}

/// Tells that pools were given back.
pub(super) async fn released(context: &Context, snapshot: &Snapshot, done: &Done) {
    tell(context, snapshot, pools(done)).await;
}

fn given_back(pool: &str) -> Happening {
    Happening::normal("PoolReleased", format!("pool {pool} has its former picker again"))
}

fn pools(done: &Done) -> Vec<Happening> {
    let bound = done.bound.iter().map(|(pool, before)| {
        let was = before.as_ref().map(|before| format!(" (was {before})")).unwrap_or_default();
        Happening::normal("PoolBound", format!("pool {pool} refers to its pickers{was}"))
    });
    let released = done.released.iter().map(|pool| given_back(pool));
    let given_up = done.given_up.iter().map(|(pool, refusal)| {
        let note =
            format!("pool {pool} still refers to its picker: its former reference is refused: {refusal}");
        Happening::warning("PoolNotReleased", note.chars().take(MAX_NOTE).collect::<String>())
    });
    bound.chain(released).chain(given_up).collect()
}

fn turned(old: &RoutingStrategyStatus, new: &RoutingStrategyStatus) -> Vec<Happening> {
    let mut happenings = Vec::new();
    if old.revision != new.revision
        && let Some(revision) = &new.revision
    {
        let generation = new.observed_generation;
        happenings
            .push(Happening::normal("Accepted", format!("generation {generation} is revision {revision}")));
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
            let waits = ["Pending", "Progressing", "PoolNotFound"].contains(&condition.reason.as_str());
            let reason = if condition.type_ == "Contested" { "Contested" } else { &condition.reason };
            // That something takes its time is in the status.
            if !waits {
                happenings.push(Happening::warning(reason, condition.message.clone()));
            }
        }
        if condition.reason == "UpgradePending" && !same {
            happenings.push(Happening::normal("UpgradePending", condition.message.clone()));
        }
        if condition.type_ == "Programmed" && !same && condition.status == "True" {
            happenings.push(Happening::normal("RevisionProgrammed", condition.message.clone()));
        }
    }
    happenings
}

async fn tell(context: &Context, snapshot: &Snapshot, happenings: Vec<Happening>) {
    let reference = snapshot.strategy.object_ref(&());
    for happening in happenings {
        // Events that differ in nothing but their note are counted as one, under the first note: so that the
        // note is part of the action.
        let hash = &picker_core::config::revision(&happening.note.as_str().into())[..8];
        let event = Event {
            type_: if happening.warning { EventType::Warning } else { EventType::Normal },
            action: format!("Reconcile/{hash}"),
            reason: happening.reason,
            note: Some(happening.note),
            secondary: None,
        };
        // An event that is lost is in the status still.
        if !context.writer.leads() {
            return;
        }
        match timeout(TIMEOUT, context.recorder.publish(&event, &reference)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "event not published"),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(revision: &str, conditions: &[(&str, &str, &str, &str)]) -> RoutingStrategyStatus {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(name, status, reason, message)| {
                json!({"type": name, "status": status, "reason": reason, "message": message,
                    "lastTransitionTime": "2026-01-01T00:00:00Z"})
            })
            .collect();
        serde_json::from_value(
            json!({"observedGeneration": 7, "revision": revision, "conditions": conditions}),
        )
        .unwrap()
    }

    #[test]
    fn nothing_new_is_no_news() {
        let status =
            status("a", &[("Accepted", "True", "Accepted", ""), ("Programmed", "True", "Programmed", "")]);
        assert_eq!(turned(&status, &status), []);
    }

    #[test]
    fn an_edit_is_two_events() {
        let old = status("a", &[("Programmed", "False", "Pending", "")]);
        let new =
            status("b", &[("Programmed", "True", "Programmed", "every ready picker serves revision b")]);
        assert_eq!(
            turned(&old, &new),
            [
                Happening::normal("Accepted", "generation 7 is revision b"),
                Happening::normal("RevisionProgrammed", "every ready picker serves revision b"),
            ]
        );
    }

    #[test]
    fn every_wrong_edit_is_told() {
        let good = status("a", &[("Accepted", "True", "Accepted", "")]);
        let bad = status("a", &[("Accepted", "False", "InvalidRouting", "plugins[0]")]);
        let worse = status("a", &[("Accepted", "False", "InvalidRouting", "plugins[1]")]);
        assert_eq!(turned(&good, &bad), [Happening::warning("InvalidRouting", "plugins[0]")]);
        assert_eq!(turned(&bad, &worse), [Happening::warning("InvalidRouting", "plugins[1]")]);
        assert_eq!(turned(&bad, &bad), []);
    }

    #[test]
    fn what_cannot_be_given_back_is_told_once() {
        let old = status("a", &[("Ready", "True", "Ready", "")]);
        let new = status("a", &[("Ready", "False", "Releasing", "not given back yet: pool x: no")]);
        assert_eq!(turned(&old, &new), [Happening::warning("Releasing", "not given back yet: pool x: no")]);
        assert_eq!(turned(&new, &new), []);
    }

    #[test]
    fn an_upgrade_that_waits_is_told_once() {
        let old = status("a", &[("Available", "True", "Available", "")]);
        let new = status("a", &[("Available", "True", "UpgradePending", "as an earlier release made them")]);
        let told = [Happening::normal("UpgradePending", "as an earlier release made them")];
        assert_eq!(turned(&old, &new), told);
        assert_eq!(turned(&new, &new), []);
        assert_eq!(turned(&new, &old), []);
    }

    #[test]
    fn taking_time_is_no_event() {
        let old = status("a", &[]);
        let new =
            status("a", &[("Available", "False", "Progressing", ""), ("PoolsBound", "False", "Pending", "")]);
        assert_eq!(turned(&old, &new), []);
    }
}
