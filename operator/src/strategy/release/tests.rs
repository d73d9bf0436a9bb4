use super::*;
use crate::strategy::testing::{pool, snapshot};

/// A tool may have named our Service, with a failure mode of its own, before we took the pool.
#[test]
fn a_pool_whose_owner_named_us_before_is_where_it_was() {
    let mut pool = pool("qwen", "x");
    let reference = |name: &str, mode: &str| PickerRef::service(name, 9002, mode).write(pool.group);
    let record = |previous: Value| Record { previous, ..Record::default() };
    let before = [
        (reference("qwen-picker", "FailClose"), true),
        (reference("old-epp", "FailOpen"), false),
        (Value::Null, false),
    ];
    pool.stored_ref = Some(reference("qwen-picker", "FailOpen"));
    for (previous, wanted) in before {
        assert_eq!(is_where_it_was(&pool, &record(previous.clone())), wanted, "{previous}");
    }
}

#[test]
fn pickers_stay_while_a_pool_that_was_taken_refers_to_them() {
    let mut world = snapshot();
    let record = Record { strategy: "chat".to_owned(), ..Record::default() };
    let mut taken = pool("qwen", "qwen-picker");
    assert!(!is_to_give_back(&world, "qwen-picker"));
    world.pools = vec![Arc::new(taken.clone())];
    assert!(!is_to_give_back(&world, "qwen-picker"));
    taken.metadata.annotations = Some([(ANNOTATION.to_owned(), record.write().unwrap())].into());
    world.pools = vec![Arc::new(taken.clone())];
    assert!(is_to_give_back(&world, "qwen-picker") && !is_to_give_back(&world, "llama-picker"));
    taken.stored_ref = pool("qwen", "old-epp").stored_ref;
    world.pools = vec![Arc::new(taken)];
    assert!(!is_to_give_back(&world, "qwen-picker"));
}

#[test]
fn a_pool_whose_record_was_lost_is_held_by_its_fields() {
    let mut world = snapshot();
    let mut lost = pool("qwen", "qwen-picker");
    assert!(!holds(&world, &lost));
    lost.metadata.managed_fields = serde_json::from_value(json!([{
        "manager": MANAGER, "operation": "Apply", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:endpointPickerRef": {"f:name": {}}}},
    }]))
    .unwrap();
    assert!(holds(&world, &lost));
    Arc::make_mut(&mut world.strategy).spec.pools.clear();
    assert!(!holds(&world, &lost));
    let other = Record { strategy: "other".to_owned(), ..Record::default() };
    lost.metadata.annotations = Some([(ANNOTATION.to_owned(), other.write().unwrap())].into());
    assert!(!holds(&snapshot(), &lost));
}

/// A failure mode that we never wrote is its owner's, who may have changed it since.
#[test]
fn a_failure_mode_that_is_the_pools_own_stays_when_it_is_given_back() {
    let mut pool = pool("qwen", "x");
    let reference = |name: &str, mode: Option<&str>| PickerRef::service(name, 9002, mode).write(pool.group);
    let stored = reference("qwen-picker", Some("FailOpen"));
    let previous = reference("old-epp", Some("FailClose"));
    let given = [None, Some("FailOpen")].map(|mode| Record {
        applied: reference("qwen-picker", mode),
        previous: previous.clone(),
        ..Record::default()
    });
    pool.stored_ref = Some(stored);
    let modes = given.map(|record| put_back(&pool, &record)["endpointPickerRef"]["failureMode"].clone());
    assert_eq!(modes, ["FailOpen", "FailClose"]);
}

#[test]
fn the_former_reference_is_put_back_whole() {
    let live = json!({"group": "", "kind": "Service", "name": "qwen-picker", "port": {"number": 9002},
        "failureMode": "FailOpen"});
    let previous =
        json!({"group": "example.com", "kind": "Thing", "name": "old", "failureMode": "FailClose"});
    let patch = replacement(&live, &previous);
    assert_eq!(
        patch,
        json!({"group": "example.com", "kind": "Thing", "name": "old", "failureMode": "FailClose", "port": null})
    );
    assert_eq!(replacement(&live, &Value::Null), Value::Null);
}
