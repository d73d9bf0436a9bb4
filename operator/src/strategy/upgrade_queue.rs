//! The queue in which picker Deployments are rolled to a new release of the operator, one at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::core::DynamicObject;
use serde_json::Value;

use super::rollout::Rollout;
use crate::build::deployment::{ASKED, TEMPLATE};
use crate::drift;

/// Longest time that one rollout keeps others waiting: one that is stuck must not stop the rest.
const LONGEST: Duration = Duration::from_secs(600);
/// How often all Deployments are looked at for a rollout of whoever led before.
const LOOK: Duration = Duration::from_secs(1);
/// How soon those that wait ask again: none sooner than the first, and all together no more often than the second says.
const AGAIN: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_millis(50);

/// The Deployment that is being rolled; the others wait.
#[derive(Debug, Default)]
pub(super) struct UpgradeQueue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    turn: Option<Turn>,
    /// When the first turn of this process was asked for.
    asked: Option<Instant>,
    /// When all Deployments were looked at last.
    looked: Option<Instant>,
    /// The Deployments that wait, by UID.
    waiting: HashSet<String>,
}

#[derive(Debug)]
struct Turn {
    uid: String,
    /// The template before the turn.
    before: Option<Value>,
    since: Instant,
}

impl UpgradeQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the turn of the Deployment `live`; returns how soon to ask again when it has not come. `deployments` gives
    /// the one with a UID, or all.
    pub fn take(
        &self,
        live: &DynamicObject,
        deployments: impl Fn(Option<&str>) -> Vec<Arc<DynamicObject>>,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut state = self.state();
        let own = live.metadata.uid.as_deref().unwrap_or_default();
        let free = match &state.turn {
            Some(turn) if turn.uid == own => return Ok(()),
            Some(turn) => {
                now.duration_since(turn.since) >= LONGEST || turn.is_over(&deployments(Some(&turn.uid)))
            }
            // Whoever led before may have begun a rollout that goes on.
            None => {
                let since = *state.asked.get_or_insert(now);
                let looks = state.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK);
                if looks {
                    state.looked = Some(now);
                }
                let others_roll = || {
                    let all = deployments(None);
                    all.iter().any(|d| d.metadata.uid != live.metadata.uid && Rollout::of(d).is_rolling())
                };
                now.duration_since(since) >= LONGEST || looks && !others_roll()
            }
        };
        if free {
            state.turn = Some(Turn { uid: own.to_owned(), before: as_built(live), since: now });
            state.waiting.remove(own);
            return Ok(());
        }
        state.waiting.insert(own.to_owned());
        let all = BETWEEN.saturating_mul(u32::try_from(state.waiting.len()).unwrap_or(u32::MAX));
        Err(all.max(AGAIN))
    }

    /// Forgets the Deployments that are gone.
    pub fn prune(&self, is_there: impl Fn(&str) -> bool) {
        self.state().waiting.retain(|uid| is_there(uid));
    }
}

impl Turn {
    fn is_over(&self, all: &[Arc<DynamicObject>]) -> bool {
        let holder = all.iter().find(|d| d.metadata.uid.as_ref() == Some(&self.uid));
        holder.is_none_or(|d| as_built(d) != self.before && Rollout::of(d).is_complete())
    }
}

fn annotation<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a String> {
    object.metadata.annotations.as_ref()?.get(name)
}

/// The pod template of a Deployment as it was built.
fn as_built(deployment: &DynamicObject) -> Option<Value> {
    serde_json::from_str(annotation(deployment, TEMPLATE)?).ok()
}

/// `wanted` with the pod template that `live` was built with, if only the operator's release makes it another:
/// the strategy asks for the same.
pub(super) fn postponed(live: &DynamicObject, wanted: &DynamicObject) -> Option<DynamicObject> {
    if annotation(live, ASKED)? != annotation(wanted, ASKED)? {
        return None;
    }
    let before = as_built(live)?;
    if wanted.data.pointer("/spec/template")? == &before {
        return None;
    }
    let mut postponed = wanted.clone();
    let annotations = postponed.metadata.annotations.get_or_insert_default();
    annotations.insert(TEMPLATE.to_owned(), annotation(live, TEMPLATE)?.clone());
    *postponed.data.pointer_mut("/spec/template")? = before;
    drift::seal(&mut postponed);
    Some(postponed)
}

#[cfg(test)]
mod tests;
