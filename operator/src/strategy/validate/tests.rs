use serde_json::json;

use super::testing::{pool, snapshot, strategy};
use super::*;

fn brief(valid: &Valid) -> Vec<(&str, &str, Option<&str>)> {
    valid.claims.iter().map(|c| (c.pool.name(), c.picker.as_str(), c.holder.as_deref())).collect()
}

#[test]
fn claims_what_is_there_and_says_what_is_not() {
    let mut snapshot = snapshot();
    snapshot.strategy = Arc::new(strategy(json!({"pools": [
        {"name": "qwen"}, {"name": "gone"}, {"name": "old", "group": "inference.networking.x-k8s.io"},
    ]})));
    snapshot.unserved = vec![PoolGroup::V1Alpha2];
    let valid = validate(&snapshot, |_| Ok(()));
    assert_eq!(brief(&valid), [("qwen", "qwen-picker", None)]);
    assert_eq!(valid.missing, [(PoolGroup::V1, "gone".to_owned()), (PoolGroup::V1Alpha2, "old".to_owned())]);
    assert_eq!(valid.unserved, [PoolGroup::V1Alpha2]);
}

#[test]
fn an_older_strategy_has_the_pool() {
    let mut snapshot = snapshot();
    let mut older = strategy(json!({"pools": [{"selector": {}}]}));
    older.metadata.name = Some("elder".to_owned());
    older.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    snapshot.others = vec![Arc::new(older)];
    let valid = validate(&snapshot, |_| Ok(()));
    assert_eq!(brief(&valid), [("qwen", "qwen-picker", Some("elder"))]);
    assert_eq!(valid.own().count(), 0);
}

#[test]
fn a_pool_that_is_being_deleted_is_gone() {
    let mut snapshot = snapshot();
    let mut leaving = pool("qwen", "old-epp");
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    snapshot.pools = vec![Arc::new(leaving)];
    let valid = validate(&snapshot, |_| Ok(()));
    assert_eq!(brief(&valid), []);
    assert_eq!(valid.missing, [(PoolGroup::V1, "qwen".to_owned())]);
}

#[test]
fn the_revision_is_that_of_the_stored_routing() {
    let snapshot = snapshot();
    let valid = validate(&snapshot, |_| Ok(()));
    assert_eq!(valid.routing, Ok(revision(&snapshot.strategy.spec.routing.0)));
}
