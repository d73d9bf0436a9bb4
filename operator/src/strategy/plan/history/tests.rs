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
