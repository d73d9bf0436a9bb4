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
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::names;
    use crate::strategy::memory::KeptRevision;
    use crate::strategy::testing::snapshot;

    fn slot(index: usize, revision: &str, number: i64, data: &Value) -> (Kind, Arc<DynamicObject>) {
        let object = json!({
            "metadata": {
                "name": format!("chat-routing-{index}"), "namespace": "llm",
                "labels": {
                    names::MANAGED_BY: names::MANAGED_BY_WAYPOST, names::STRATEGY: "chat",
                    names::STRATEGY_UID: "uid-chat", history::REVISION_LABEL: revision,
                },
            },
            "revision": number, "data": revision_in_cache(data),
        });
        (Kind::ControllerRevision, Arc::new(serde_json::from_value(object).unwrap()))
    }

    fn name(index: usize) -> String {
        format!("chat-routing-{index}")
    }

    /// To be written to an empty slot from `first` on, or in the place of `oldest`.
    fn write(
        revision: &str,
        first: usize,
        number: i64,
        oldest: Option<(usize, &(Kind, Arc<DynamicObject>))>,
    ) -> Option<Keep> {
        let oldest = oldest.map(|(index, (_, object))| (name(index), object.clone()));
        let slot = Slot::Free { empty: (first..10).map(name).collect(), oldest };
        Some(Keep { revision: revision.to_owned(), number, slot })
    }

    #[test]
    fn a_new_revision_takes_a_free_slot() {
        let mut snapshot = snapshot();
        assert_eq!(keep(&snapshot, "a"), write("a", 0, 1, None));
        snapshot.owned = vec![slot(0, "x", 4, &json!({}))];
        assert_eq!(keep(&snapshot, "a"), write("a", 1, 5, Some((0, &snapshot.owned[0]))));
    }

    #[test]
    fn a_kept_revision_is_written_again_only_to_become_the_newest() {
        let mut snapshot = snapshot();
        let routing = snapshot.strategy.spec.routing.0.clone();
        snapshot.owned = vec![slot(0, "a", 1, &routing), slot(1, "b", 2, &json!({}))];
        assert_eq!(
            keep(&snapshot, "a"),
            Some(Keep { revision: "a".to_owned(), number: 3, slot: Slot::Same(name(0)) })
        );
        snapshot.owned = vec![slot(0, "a", 3, &routing), slot(1, "b", 2, &json!({}))];
        assert_eq!(keep(&snapshot, "a"), None);
    }

    #[test]
    fn the_oldest_goes_but_not_the_one_that_serves() {
        let mut snapshot = snapshot();
        Arc::make_mut(&mut snapshot.strategy).status.get_or_insert_default().revision = Some("r0".to_owned());
        snapshot.owned =
            (0..10).map(|i| slot(i, &format!("r{i}"), i64::try_from(i).unwrap(), &json!({}))).collect();
        assert_eq!(keep(&snapshot, "new"), write("new", 10, 10, Some((1, &snapshot.owned[1]))));
    }

    #[test]
    fn a_slot_holds_one_revision() {
        let (_, object) = slot(0, "a", 1, &json!({}));
        assert!(is_of(&object, "a") && !is_of(&object, "b"));
        let mut bare = (*object).clone();
        bare.metadata.labels = None;
        assert!(!is_of(&bare, "a"));
    }

    /// The cache may be behind what was written last, and two routings must not have one number.
    #[test]
    fn numbers_go_on_from_what_was_written_last() {
        let mut snapshot = snapshot();
        snapshot.remembered.kept = Some(KeptRevision { number: 4, revision: "x".to_owned() });
        assert_eq!(keep(&snapshot, "a"), write("a", 0, 5, None));
        // Written again as it is.
        assert_eq!(keep(&snapshot, "x"), write("x", 0, 4, None));
        snapshot.owned = vec![slot(0, "x", 2, &snapshot.strategy.spec.routing.0)];
        assert_eq!(keep(&snapshot, "x"), None);
    }

    /// A restored strategy, or one that was made again, goes on with the history of the former one.
    #[test]
    fn a_slot_of_a_former_strategy_is_ours() {
        let mut snapshot = snapshot();
        let (kind, object) = slot(0, "a", 7, &snapshot.strategy.spec.routing.0.clone());
        let mut object = (*object).clone();
        object.metadata.labels.as_mut().unwrap().insert(names::STRATEGY_UID.to_owned(), "gone".to_owned());
        snapshot.owned = vec![(kind, Arc::new(object))];
        assert_eq!(keep(&snapshot, "a"), None);
    }

    #[test]
    fn a_slot_of_somebody_else_is_not_ours() {
        let mut snapshot = snapshot();
        let (kind, object) = slot(0, "a", 7, &snapshot.strategy.spec.routing.0.clone());
        let mut object = (*object).clone();
        object.metadata.labels.as_mut().unwrap().insert(names::MANAGED_BY.to_owned(), "Helm".to_owned());
        object.metadata.labels.as_mut().unwrap().remove(names::STRATEGY_UID);
        snapshot.owned = vec![(kind, Arc::new(object))];
        assert_eq!(keep(&snapshot, "a"), write("a", 0, 1, None));
    }
}
