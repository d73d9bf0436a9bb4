//! Keeps every accepted routing, before any picker is told to serve it.

use std::sync::Arc;

use crds::history;
use kube::core::DynamicObject;
use serde_json::json;

use super::Context;
use super::dereference::{self, Snapshot};
use super::validate::Valid;
use crate::build::owner;
use crate::drift;
use crate::kinds::{Kind, Object};
use crate::names;
use crate::write::WriteError;

/// What to do so that a revision is kept as the newest.
#[derive(Debug, PartialEq)]
enum Plan {
    Nothing,
    /// Write it with this number to the first of the empty slots that holds no other's object, or else in
    /// the place of the oldest.
    Write {
        empty: Vec<String>,
        oldest: Option<(String, Arc<DynamicObject>)>,
        number: i64,
    },
    /// Write it again where it is, with this number.
    Renumber {
        name: String,
        number: i64,
    },
}

/// What came of keeping a routing.
pub(super) enum Kept {
    Yes,
    /// Every slot is held by an object that is not ours.
    NameTaken,
}

/// Writes the accepted routing to a slot, unless it is there.
pub(super) async fn keep(context: &Context, snapshot: &Snapshot, valid: &Valid) -> Result<Kept, WriteError> {
    let Ok(revision) = &valid.routing else { return Ok(Kept::Yes) };
    let (name, number) = match plan(snapshot, revision) {
        Plan::Nothing => return Ok(Kept::Yes),
        Plan::Renumber { name, number } => (name, number),
        Plan::Write { empty, oldest, number } => {
            match (free(context, snapshot, empty, revision).await?, oldest) {
                (Some(name), _) => (name, number),
                (None, Some((name, old))) => {
                    context.writer.delete(Kind::ControllerRevision, &old).await?;
                    (name, number)
                }
                (None, None) => return Ok(Kept::NameTaken),
            }
        }
    };
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": snapshot.namespace(),
            "labels": {
                names::MANAGED_BY: names::MANAGED_BY_WAYPOST,
                names::COMPONENT: "routing",
                names::STRATEGY: snapshot.name(),
                history::REVISION_LABEL: revision,
            },
            "ownerReferences": [owner(snapshot.name(), snapshot.uid())],
        },
        "revision": number,
    });
    object["data"] = snapshot.strategy.spec.routing.0.clone();
    match Object::new(Kind::ControllerRevision, &object) {
        Ok(mut object) => {
            drift::seal(&mut object.content);
            context.writer.apply(&object).await?;
            context.memory.keep(snapshot.uid(), dereference::Kept { number, revision: revision.clone() });
            Ok(Kept::Yes)
        }
        Err(error) => Err(WriteError::Api(kube::Error::SerdeError(error))),
    }
}

/// The first of `slots` in which `revision` can be written, past the cache, which holds ours only and may not
/// yet hold what was written last.
async fn free(
    context: &Context,
    snapshot: &Snapshot,
    slots: Vec<String>,
    revision: &str,
) -> Result<Option<String>, WriteError> {
    for name in slots {
        let live = context.writer.read(Kind::ControllerRevision, snapshot.namespace(), &name).await?;
        if live.is_none_or(|live| snapshot.owns(&live) && holds(&live, revision)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether a slot has this revision: another can't be written over it, as its data can't be changed.
fn holds(slot: &DynamicObject, revision: &str) -> bool {
    let label = slot.metadata.labels.as_ref().and_then(|labels| labels.get(history::REVISION_LABEL));
    label.is_some_and(|label| label == revision)
}

fn plan(snapshot: &Snapshot, revision: &str) -> Plan {
    let slots: Vec<_> = history::slots(snapshot.name())
        .map(|name| {
            let live =
                snapshot.object(Kind::ControllerRevision, &name).filter(|live| snapshot.owns(live)).cloned();
            (name, live)
        })
        .collect();
    let number = |object: &DynamicObject| object.data["revision"].as_i64().unwrap_or_default();
    let cached = slots.iter().filter_map(|(_, live)| live.as_deref().map(number)).max();
    let newest = cached.max(snapshot.kept.as_ref().map(|kept| kept.number)).unwrap_or_default();
    // What was written last is the newest, whether or not the cache knows it.
    let written = snapshot.kept.as_ref().is_some_and(|k| k.revision == revision && k.number == newest);
    let next = if written { newest } else { newest + 1 };
    let found = slots.iter().find_map(|(name, live)| {
        live.as_deref()
            .filter(|live| holds(live, revision) && live.data["data"] == snapshot.strategy.spec.routing.0)
            .map(|live| (name, live))
    });
    if let Some((name, live)) = found {
        // Accepted again after others: the newest anew, so that it is not the next to go.
        return match number(live) == newest || next == newest {
            true => Plan::Nothing,
            false => Plan::Renumber { name: name.clone(), number: next },
        };
    }
    let empty = slots.iter().filter(|(_, live)| live.is_none()).map(|(name, _)| name.clone()).collect();
    // Never the one that pickers may be starting from.
    let serving = snapshot.told_revision().unwrap_or_default();
    let oldest = slots
        .into_iter()
        .filter_map(|(name, live)| live.map(|live| (name, live)))
        .filter(|(_, live)| !holds(live, serving))
        .min_by_key(|(_, live)| number(live));
    Plan::Write { empty, oldest, number: next }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::strategy::validate::testing::snapshot;

    fn slot(index: usize, revision: &str, number: i64, data: &Value) -> (Kind, Arc<DynamicObject>) {
        let object = json!({
            "metadata": {
                "name": format!("chat-routing-{index}"), "namespace": "llm",
                "labels": {names::STRATEGY: "chat", history::REVISION_LABEL: revision},
                "ownerReferences": [owner("chat", "uid-chat")],
            },
            "revision": number, "data": data,
        });
        (Kind::ControllerRevision, Arc::new(serde_json::from_value(object).unwrap()))
    }

    fn name(index: usize) -> String {
        format!("chat-routing-{index}")
    }

    /// To be written to an empty slot from `first` on, or in the place of `oldest`.
    fn write(first: usize, number: i64, oldest: Option<(usize, &(Kind, Arc<DynamicObject>))>) -> Plan {
        let oldest = oldest.map(|(index, (_, object))| (name(index), object.clone()));
        Plan::Write { empty: (first..10).map(name).collect(), oldest, number }
    }

    #[test]
    fn a_new_revision_takes_a_free_slot() {
        let mut snapshot = snapshot();
        assert_eq!(plan(&snapshot, "a"), write(0, 1, None));
        snapshot.owned = vec![slot(0, "x", 4, &json!({}))];
        assert_eq!(plan(&snapshot, "a"), write(1, 5, Some((0, &snapshot.owned[0]))));
    }

    #[test]
    fn a_kept_revision_is_written_again_only_to_become_the_newest() {
        let mut snapshot = snapshot();
        let routing = snapshot.strategy.spec.routing.0.clone();
        snapshot.owned = vec![slot(0, "a", 1, &routing), slot(1, "b", 2, &json!({}))];
        assert_eq!(plan(&snapshot, "a"), Plan::Renumber { name: name(0), number: 3 });
        snapshot.owned = vec![slot(0, "a", 3, &routing), slot(1, "b", 2, &json!({}))];
        assert_eq!(plan(&snapshot, "a"), Plan::Nothing);
    }

    #[test]
    fn the_oldest_goes_but_not_the_one_that_serves() {
        let mut snapshot = snapshot();
        Arc::make_mut(&mut snapshot.strategy).status.get_or_insert_default().revision = Some("r0".to_owned());
        snapshot.owned =
            (0..10).map(|i| slot(i, &format!("r{i}"), i64::try_from(i).unwrap(), &json!({}))).collect();
        assert_eq!(plan(&snapshot, "new"), write(10, 10, Some((1, &snapshot.owned[1]))));
    }

    #[test]
    fn a_slot_holds_one_revision() {
        let (_, object) = slot(0, "a", 1, &json!({}));
        assert!(holds(&object, "a") && !holds(&object, "b"));
        let mut bare = (*object).clone();
        bare.metadata.labels = None;
        assert!(!holds(&bare, "a"));
    }

    /// The cache may be behind what was written last, and two routings must not have one number.
    #[test]
    fn numbers_go_on_from_what_was_written_last() {
        let mut snapshot = snapshot();
        snapshot.kept = Some(dereference::Kept { number: 4, revision: "x".to_owned() });
        assert_eq!(plan(&snapshot, "a"), write(0, 5, None));
        // Written again as it is.
        assert_eq!(plan(&snapshot, "x"), write(0, 4, None));
        snapshot.owned = vec![slot(0, "x", 2, &snapshot.strategy.spec.routing.0)];
        assert_eq!(plan(&snapshot, "x"), Plan::Nothing);
    }

    #[test]
    fn a_slot_of_a_former_strategy_is_not_ours() {
        let mut snapshot = snapshot();
        let (kind, object) = slot(0, "a", 7, &snapshot.strategy.spec.routing.0.clone());
        let mut object = (*object).clone();
        object.metadata.owner_references.as_mut().unwrap()[0].uid = "gone".to_owned();
        snapshot.owned = vec![(kind, Arc::new(object))];
        assert_eq!(plan(&snapshot, "a"), write(0, 1, None));
    }
}
