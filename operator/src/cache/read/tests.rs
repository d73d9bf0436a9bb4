use kube::api::ObjectList;
use kube_ext::partial_object::PartialObject;

use super::*;
use crate::cache::problem::ProblemKind;

fn deep() -> String {
    format!("{}{}", r#"{"a":"#.repeat(200), "1".to_owned() + &"}".repeat(200))
}

/// A list of two objects called a and b, the first with managers who hold fields of any depth.
fn list_of(body: &str) -> String {
    let item = |name: &str, managers: &str| {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"llm","resourceVersion":"7","uid":"u",
                "managedFields":[{managers}{{"manager":"helm","operation":"Update","fieldsV1":{{"f:spec":{{}}}}}}]}},{body}}}"#
        )
    };
    let broken = format!(r#"{{"manager":"x","fieldsType":"FieldsV1","fieldsV1":{}}},"#, deep());
    format!(
        r#"{{"apiVersion":"v1","kind":"List","metadata":{{}},"items":[{},{}]}}"#,
        item("a", &broken),
        item("b", "")
    )
}

fn read<V: ReadPartial + Clone>(body: &str) -> Vec<V> {
    let list: ObjectList<PartialObject<V>> = serde_json::from_str(&list_of(body)).unwrap();
    list.items
        .into_iter()
        .map(|item| {
            assert_eq!(item.meta().resource_version.as_deref(), Some("7"));
            item.object.unwrap()
        })
        .collect()
}

#[test]
fn why_a_pod_is_not_ready_is_kept_of_pickers_alone() {
    let body = r#""status":{"phase":"Failed","reason":"Evicted"}"#;
    let labels = |component: &str| format!(r#"{{"app.kubernetes.io/component":"{component}"}}"#);
    let read = |labels: &str, more: &str| {
        let text =
            format!(r#"{{"metadata":{{"name":"a","namespace":"llm","labels":{labels}{more}}},{body}}}"#);
        PodFacts::read(&text).unwrap().problem
    };
    let kind = ProblemKind::Failed { reason: "Evicted".to_owned(), message: String::new() };
    let picker = labels(names::COMPONENT_PICKER);
    assert_eq!(read(&picker, ""), Some(Box::new(PodProblem { created: 0, since: 0, kind })));
    assert_eq!(read(&picker, r#","deletionTimestamp":"2026-01-01T00:00:00Z""#), None);
    assert_eq!(read(&labels("model-server"), ""), None);
    // Of each other pod it takes a pointer.
    assert_eq!(size_of::<Option<Box<PodProblem>>>(), 8);
}

#[test]
fn fields_of_managers_hide_nothing_however_deep() {
    let pods: Vec<PodFacts> = read(r#""status":{"conditions":[{"type":"Ready","status":"True"}]}"#);
    assert_eq!(
        pods.iter().map(|pod| (pod.name.as_str(), pod.ready)).collect::<Vec<_>>(),
        [("a", true), ("b", true)]
    );
    let pools: Vec<PoolOf<InferencePool>> =
        read(r#""spec":{"selector":{"matchLabels":{"app":"x"}},"targetPorts":[{"number":8000}]}"#);
    for pool in pools {
        // Of the managers those are left that can be read.
        let managers = pool.pool.metadata.managed_fields.unwrap();
        assert_eq!(managers.iter().filter_map(|m| m.manager.as_deref()).collect::<Vec<_>>(), ["helm"]);
    }
}
