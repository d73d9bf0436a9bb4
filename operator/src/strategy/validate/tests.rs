use serde_json::json;

use super::*;
use crate::strategy::testing::{defaults, pool, snapshot, strategy};

/// The pools of the workloads, and those of others with their strategy.
fn brief(valid: &Valid) -> Vec<(&str, Option<&str>)> {
    let own = valid.served().map(|served| (served.pool.name(), None));
    own.chain(valid.of_others.iter().map(|(pool, holder)| (pool.name(), Some(holder.as_str())))).collect()
}

#[test]
fn claims_what_is_there_and_says_what_is_not() {
    let mut snapshot = snapshot();
    snapshot.strategy = Arc::new(strategy(json!({"pools": [
        {"name": "qwen"}, {"name": "gone"}, {"name": "old", "group": "inference.networking.x-k8s.io"},
    ]})));
    snapshot.unserved = vec![PoolGroup::V1Alpha2];
    let valid = validate(&snapshot, &defaults(), |_| Ok(()));
    let qwen = &snapshot.pools[0];
    assert_eq!(
        valid.workloads,
        [Workload {
            name: "qwen-picker".to_owned(),
            mode: Mode::PerPool,
            pools: vec![ServedPool { pool: qwen.clone(), service: "qwen-picker".to_owned(), port: 9002 }],
        }]
    );
    let reference = PickerRef::service("qwen-picker", 9002, "FailOpen");
    assert_eq!(
        valid.bindings,
        [WantedBinding { pool: qwen.clone(), workload: "qwen-picker".to_owned(), reference }]
    );
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
    let valid = validate(&snapshot, &defaults(), |_| Ok(()));
    assert_eq!(brief(&valid), [("qwen", Some("elder"))]);
    assert_eq!((valid.bindings, valid.picker.unwrap()), (vec![], WantedObjects::default()));
}

#[test]
fn a_pool_that_is_being_deleted_is_gone() {
    let mut snapshot = snapshot();
    let mut leaving = pool("qwen", "old-epp");
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    snapshot.pools = vec![Arc::new(leaving)];
    let valid = validate(&snapshot, &defaults(), |_| Ok(()));
    assert_eq!(brief(&valid), []);
    assert_eq!(valid.missing, [(PoolGroup::V1, "qwen".to_owned())]);
}

#[test]
fn the_revision_is_that_of_the_stored_routing() {
    let snapshot = snapshot();
    let valid = validate(&snapshot, &defaults(), |_| Ok(()));
    assert_eq!(valid.routing, Ok(revision(&snapshot.strategy.spec.routing.0)));
}

/// A webhook, which sees no pool, would say what the status says.
#[test]
fn a_wrong_picker_is_found_with_pools_and_without() {
    let mut snapshot = snapshot();
    let picker = json!({"podTemplate": {"spec": {"hostNetwork": true}}});
    snapshot.strategy = Arc::new(strategy(json!({"pools": [{"name": "qwen"}], "picker": picker})));
    for pools in [snapshot.pools.clone(), vec![]] {
        snapshot.pools = pools;
        let error = validate(&snapshot, &defaults(), |_| Ok(())).picker.unwrap_err().to_string();
        assert!(error.starts_with("spec.picker.podTemplate.spec.hostNetwork: not allowed"), "{error}");
    }
}
