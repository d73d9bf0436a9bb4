use serde_json::json;

use super::*;
use crate::deep_json::deep;

fn pool(group: PoolGroup) -> PoolRef {
    PoolRef { group, namespace: "llm".to_owned(), name: "qwen".to_owned() }
}

fn object(pool: &PoolRef, spec: serde_json::Value) -> RawObject {
    let metadata = json!({"name": pool.name, "managedFields": [{"fieldsV1": deep()}]});
    let object = json!({"metadata": metadata, "spec": spec, "status": deep()});
    serde_json::from_str(&object.to_string()).unwrap()
}

fn members(selector: &str, ports: &[u16]) -> PoolState {
    PoolState::Present(Members { selector: selector.to_owned(), ports: ports.into() })
}

#[test]
fn both_versions_say_the_same() {
    let v1 = pool(PoolGroup::V1);
    let spec = json!({
        "selector": {"matchLabels": {"tier": "chat", "app": "vllm"}},
        "targetPorts": [{"number": 8000}, {"number": 8001}],
        "endpointPickerRef": {"name": "p", "port": {"number": 9002}},
    });
    assert_eq!(v1.read(object(&v1, spec)), members("app=vllm,tier=chat", &[8000, 8001]));

    let v1alpha2 = pool(PoolGroup::V1Alpha2);
    let spec = json!({"selector": {"app": "vllm"}, "targetPortNumber": 8000, "extensionRef": {"name": "p"}});
    assert_eq!(v1alpha2.read(object(&v1alpha2, spec)), members("app=vllm", &[8000]));
}

#[test]
fn the_resource_is_that_of_the_group() {
    let (v1, v1alpha2) = (pool(PoolGroup::V1).resource(), pool(PoolGroup::V1Alpha2).resource());
    assert_eq!(
        (v1.api_version.as_str(), v1.plural.as_str()),
        ("inference.networking.k8s.io/v1", "inferencepools")
    );
    assert_eq!(
        (v1alpha2.api_version.as_str(), v1alpha2.plural.as_str()),
        ("inference.networking.x-k8s.io/v1alpha2", "inferencepools")
    );
}

#[test]
fn a_pool_that_cannot_be_used_has_no_endpoints() {
    let pool = pool(PoolGroup::V1);
    for spec in [
        json!({"selector": {"matchLabels": {}}, "targetPorts": [{"number": 8000}]}),
        json!({"selector": {"matchLabels": {"app": "vllm"}}}),
        json!({"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": [{"number": 0}]}),
        json!({"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": [{"number": 99999}]}),
        json!({"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": [{"number": deep()}]}),
        json!("nonsense"),
    ] {
        assert_eq!(pool.read(object(&pool, spec.clone())), PoolState::Absent, "{spec}");
    }
}

#[test]
fn a_watch_tells_when_the_pool_comes_and_goes() {
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
    let pool = pool(PoolGroup::V1);
    let there =
        || object(&pool, json!({"selector": {"matchLabels": {"a": "b"}}, "targetPorts": [{"number": 80}]}));
    let mut listed = PoolState::Absent;
    let mut next = |event| pool.next_state(event, &mut listed);
    assert_eq!([next(Init), next(InitDone)], [None, Some(PoolState::Absent)]);
    assert_eq!(next(Apply(there())), Some(members("a=b", &[80])));
    assert_eq!(
        [next(Init), next(InitApply(there())), next(InitDone)],
        [None, None, Some(members("a=b", &[80]))]
    );
    assert_eq!(next(Delete(there())), Some(PoolState::Absent));
    assert_eq!([next(Init), next(InitDone)], [None, Some(PoolState::Absent)]);
}
