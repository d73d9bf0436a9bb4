//! The step that keeps an accepted routing in the history, before any picker is told to serve it. Pure.

use crds::history;
use kube::core::DynamicObject;

use super::step::{Action, Keep, Plan, Slot};
use crate::cache::revision_in_cache;
use crate::kinds::Kind;
use crate::strategy::ownership::claim;
use crate::strategy::snapshot::Snapshot;
use crate::strategy::validate::Valid;

/// Adds the step, unless the routing is kept already, is not accepted, or waits while the routing is paused; and those that
/// make slots of an earlier release, or of a former strategy, this one's.
pub(super) fn add(plan: &mut Plan, snapshot: &Snapshot, valid: &Valid) {
    let waits = plan.all_so_far();
    if let Ok(revision) = &valid.routing
        && !snapshot.holds_routing()
        && let Some(keep) = keep(snapshot, revision)
    {
        plan.add(Action::Keep(keep), waits.clone());
    }
    for (kind, live) in snapshot.owned.iter().filter(|(kind, _)| *kind == Kind::ControllerRevision) {
        if snapshot.owns(live)
            && let Some(patch) = claim(snapshot.uid(), live)
        {
            plan.add(Action::Claim { kind: *kind, live: live.clone(), patch }, waits.clone());
        }
    }
}

/// Whether a slot has this revision: another can't be written over it, as its data can't be changed.
pub(crate) fn is_of(slot: &DynamicObject, revision: &str) -> bool {
    let label = slot.metadata.labels.as_ref().and_then(|labels| labels.get(history::REVISION_LABEL));
    label.is_some_and(|label| label == revision)
}

/// How `revision`, which is accepted, gets into the history as the newest; `None` when it is.
fn keep(snapshot: &Snapshot, revision: &str) -> Option<Keep> {
    let keep = |number, slot| Keep { revision: revision.to_owned(), number, slot };
    let slots: Vec<_> = history::slots(snapshot.name())
        .map(|name| {
            let live =
                snapshot.object(Kind::ControllerRevision, &name).filter(|live| snapshot.owns(live)).cloned();
            (name, live)
        })
        .collect();
    let number = |object: &DynamicObject| object.data["revision"].as_i64().unwrap_or_default();
    let cached = slots.iter().filter_map(|(_, live)| live.as_deref().map(number)).max();
    let newest = cached.max(snapshot.remembered.kept.as_ref().map(|kept| kept.number)).unwrap_or_default();
    // What was written last is the newest, whether or not the cache knows it.
    let written =
        snapshot.remembered.kept.as_ref().is_some_and(|k| k.revision == revision && k.number == newest);
    let next = if written { newest } else { newest + 1 };
    let routing = revision_in_cache(&snapshot.strategy.spec.routing.0);
    let found = slots.iter().find_map(|(name, live)| {
        live.as_deref()
            .filter(|live| is_of(live, revision) && live.data["data"] == routing)
            .map(|live| (name, live))
    });
    if let Some((name, live)) = found {
        // Accepted again after others: the newest anew, so that it is not the next to go.
        let is_newest = number(live) == newest || next == newest;
        return (!is_newest).then(|| keep(next, Slot::Same(name.clone())));
    }
    let empty = slots.iter().filter(|(_, live)| live.is_none()).map(|(name, _)| name.clone()).collect();
    // Never the one that pickers may be starting from.
    let serving = snapshot.told_revision().unwrap_or_default();
    let oldest = slots
        .into_iter()
        .filter_map(|(name, live)| live.map(|live| (name, live)))
        .filter(|(_, live)| !is_of(live, serving))
        .min_by_key(|(_, live)| number(live));
    Some(keep(next, Slot::Free { empty, oldest }))
}

#[cfg(test)]
mod tests;
