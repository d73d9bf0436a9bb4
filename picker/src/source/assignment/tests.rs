use crds::PoolGroup;
use serde_json::{Value, json};

use super::*;
use crate::fake_api::{self, Answer};

fn pool(name: &str) -> PoolRef {
    PoolRef { group: PoolGroup::V1, namespace: "llm".to_owned(), name: name.to_owned() }
}

#[test]
fn a_pod_of_the_operator_knows_its_deployment() {
    assert_eq!(deployment(&pool("qwen"), "qwen-picker-6f7-x2x"), Some("qwen-picker".to_owned()));
    assert_eq!(deployment(&pool("qwen"), "my-own-picker-0"), None);
    // Kubernetes cuts the names of pods.
    let long = "x".repeat(56);
    assert_eq!(deployment(&pool(&long), &format!("{}-abc", "x".repeat(50))), Some(format!("{long}-picker")));
}

#[test]
fn the_label_of_the_deployment_assigns_a_strategy() {
    let first = StrategyRef { namespace: "llm".to_owned(), name: "chat".to_owned() };
    let strategy = watch::Sender::new(first);
    let mut told = strategy.subscribe();
    let labelled = |by: &str, strategy: &str| -> ObjectMeta {
        serde_json::from_value(json!({"labels": {MANAGED_BY: by, names::STRATEGY: strategy}})).unwrap()
    };
    for unchanged in [labelled("waypost", "chat"), labelled("Helm", "talk"), ObjectMeta::default()] {
        assign(&strategy, &unchanged);
        assert!(!told.has_changed().unwrap());
    }
    assign(&strategy, &labelled("waypost", "talk"));
    let talk = StrategyRef { namespace: "llm".to_owned(), name: "talk".to_owned() };
    assert_eq!(*told.borrow_and_update(), talk);
}

#[tokio::test]
async fn it_is_read_by_name() {
    let listed: Value = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {"resourceVersion": "7"},
        "items": [{"metadata": {"name": "qwen-picker", "namespace": "llm",
            "labels": {MANAGED_BY: "waypost", names::STRATEGY: "talk"}}}],
    });
    let (client, log) = fake_api::client(move |asked| match asked.what.contains("watch=true") {
        true => Answer::Error(503),
        false => Answer::Object(listed.clone()),
    });
    let strategy = watch::Sender::new(StrategyRef { namespace: "llm".to_owned(), name: "chat".to_owned() });
    let mut told = strategy.subscribe();
    let metrics = Metrics::new(crate::view::empty());
    tokio::select! {
        () = run(client, "qwen-picker", "llm", &metrics, strategy) => {}
        changed = told.changed() => changed.unwrap(),
    }
    assert_eq!(told.borrow().name, "talk");
    assert!(log.lock().unwrap()[0].what.starts_with("GET /apis/apps/v1/namespaces/llm/deployments"));
}
