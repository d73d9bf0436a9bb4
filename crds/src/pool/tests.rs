use serde_json::json;

use super::*;

fn v1(spec: Value) -> Pool {
    let pool: InferencePool = serde_json::from_value(json!({
        "apiVersion": PoolGroup::V1.api_version(), "kind": "InferencePool",
        "metadata": {"name": "qwen", "namespace": "llm"}, "spec": spec,
    }))
    .unwrap();
    Pool::from(&pool)
}

fn v1alpha2(spec: Value) -> Pool {
    let pool: InferencePoolV1Alpha2 = serde_json::from_value(json!({
        "apiVersion": PoolGroup::V1Alpha2.api_version(), "kind": "InferencePool",
        "metadata": {"name": "qwen", "namespace": "llm"}, "spec": spec,
    }))
    .unwrap();
    Pool::from(&pool)
}

#[test]
fn both_groups_read_alike() {
    let new = v1(json!({
        "selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"group": "", "kind": "Service", "name": "epp", "port": {"number": 9002},
            "failureMode": "FailOpen"},
    }));
    let old = v1alpha2(json!({
        "selector": {"app": "vllm"}, "targetPortNumber": 8000,
        "extensionRef": {"name": "epp", "failureMode": "FailOpen"},
    }));
    assert_eq!(new.picker(), Some(PickerRef::service("epp", 9002, "FailOpen")));
    assert_eq!(old.picker(), new.picker());
    assert_eq!(Pool { group: PoolGroup::V1, stored_ref: None, ..old }, Pool { stored_ref: None, ..new });
}

#[test]
fn a_pool_may_name_no_picker() {
    let pool = v1(json!({"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": [{"number": 8000}]}));
    assert_eq!(pool.picker(), None);
}

#[test]
fn a_reference_is_written_as_it_was_read() {
    for group in PoolGroup::ALL {
        let reference = PickerRef::service("chat-picker", 9002, "FailClose");
        assert_eq!(PickerRef::read(group, &reference.write(group)), Some(reference));
    }
}

#[test]
fn an_empty_selector_selects_nothing() {
    let labels = BTreeMap::from([("app".to_owned(), "vllm".to_owned())]);
    let mut pool = v1(json!({"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": []}));
    assert!(pool.selects(&labels));
    assert!(!pool.selects(&BTreeMap::new()));
    pool.selector.clear();
    assert!(!pool.selects(&labels));
}
