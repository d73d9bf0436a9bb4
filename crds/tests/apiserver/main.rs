//! What an API server makes of the definition. Needs a cluster with the definition applied, by KUBECONFIG.

#![allow(clippy::unwrap_used)]

mod applied_twice;
mod diff_rules;
mod examples;

use crds::RoutingStrategy;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use rstest::rstest;
use serde_json::{Value, json};

async fn api() -> Api<DynamicObject> {
    // The second test of the process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await.unwrap();
    let resource = kube::core::ApiResource::erase::<RoutingStrategy>(&());
    Api::namespaced_with(client, "default", &resource)
}

fn strategy(name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy", "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

/// Creates without storing; the answer is what would be stored.
async fn create(name: &str, spec: Value) -> Result<DynamicObject, String> {
    let params = PostParams { dry_run: true, field_manager: None };
    api().await.create(&params, &strategy(name, spec)).await.map_err(|e| e.to_string())
}

fn plugins(routing: Value) -> Value {
    json!({"pools": [{"name": "qwen"}], "routing": routing})
}

#[rstest]
#[case::no_pools(json!({"pools": []}), "spec.pools: Invalid value")]
#[case::name_and_selector(json!({"pools": [{"name": "a", "selector": {}}]}), "exactly one of name and selector")]
#[case::neither(json!({"pools": [{}]}), "exactly one of name and selector")]
#[case::group(json!({"pools": [{"name": "a", "group": "apps"}]}), "spec.pools[0].group: Unsupported value")]
#[case::operator(
    json!({"pools": [{"selector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["x"]}]}}]}),
    "spec.pools[0].selector.matchExpressions[0].operator: Unsupported value"
)]
#[case::no_values(
    json!({"pools": [{"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]}),
    "In and NotIn need values"
)]
#[case::needless_values(
    json!({"pools": [{"selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}}]}),
    "Exists and DoesNotExist take none"
)]
#[case::binding(json!({"pools": [{"name": "a"}], "binding": "Grab"}), "spec.binding: Unsupported value")]
#[case::same_plugins(plugins(json!({"plugins": [{"type": "a"}, {"type": "b", "name": "a"}]})), "spec.routing.plugins")]
#[case::same_profiles(
    plugins(json!({"schedulingProfiles": [{"name": "a"}, {"name": "a"}]})),
    "spec.routing.schedulingProfiles: Invalid value"
)]
#[case::dangling(
    plugins(json!({"plugins": [{"type": "a"}], "schedulingProfiles": [{"name": "p", "plugins": [{"pluginRef": "b"}]}]})),
    "each pluginRef must be the name of an entry of plugins"
)]
#[case::weight(
    plugins(json!({"plugins": [{"type": "a"}], "schedulingProfiles": [
        {"name": "p", "plugins": [{"pluginRef": "a", "weight": "2"}]},
    ]})),
    "spec.routing.schedulingProfiles[0].plugins[0].weight"
)]
#[case::no_type(plugins(json!({"plugins": [{"name": "a"}]})), "spec.routing.plugins[0].type: Required value")]
#[case::both_sizes(
    json!({"pools": [{"name": "a"}], "picker": {"replicas": 1, "autoscaling": {"maxReplicas": 2}}}),
    "at most one of replicas and autoscaling"
)]
#[case::min_above_max(
    json!({"pools": [{"name": "a"}], "picker": {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}}),
    "spec.picker.autoscaling.minReplicas: Invalid value"
)]
#[case::no_replicas(json!({"pools": [{"name": "a"}], "picker": {"replicas": 0}}), "spec.picker.replicas")]
#[case::empty_image(json!({"pools": [{"name": "a"}], "picker": {"image": ""}}), "spec.picker.image")]
#[case::no_secret(
    json!({"pools": [{"name": "a"}], "picker": {"tls": {"mode": "Secret"}}}),
    "spec.picker.tls.secretName: Invalid value"
)]
#[case::needless_secret(
    json!({"pools": [{"name": "a"}], "picker": {"tls": {"secretName": "x"}}}),
    "spec.picker.tls.secretName: Invalid value"
)]
#[case::no_authorities(
    json!({"pools": [{"name": "a"}], "picker": {"tls": {"clientCA": {}}}}),
    "spec.picker.tls.clientCA: Invalid value"
)]
#[case::two_places_of_authorities(
    json!({"pools": [{"name": "a"}], "picker": {"tls": {"clientCA": {"configMapName": "a", "secretName": "b"}}}}),
    "give one of configMapName and secretName"
)]
#[case::authorities_without_tls(
    json!({"pools": [{"name": "a"}], "picker": {"tls": {"mode": "Disabled", "clientCA": {"configMapName": "a"}}}}),
    "spec.picker.tls.clientCA: Invalid value"
)]
#[case::no_gateways(
    json!({"pools": [{"name": "a"}], "picker": {"networkPolicy": {"gateways": []}}}),
    "spec.picker.networkPolicy.gateways"
)]
#[case::gateways_are_missing(
    json!({"pools": [{"name": "a"}], "picker": {"networkPolicy": {}}}),
    "spec.picker.networkPolicy.gateways: Required value"
)]
#[case::no_peer(
    json!({"pools": [{"name": "a"}], "picker": {"networkPolicy": {"gateways": [{}]}}}),
    "spec.picker.networkPolicy.gateways[0]: Invalid value"
)]
#[case::operator_of_a_peer(
    json!({"pools": [{"name": "a"}], "picker": {"networkPolicy": {"gateways": [
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["x"]}]}},
    ]}}}),
    "spec.picker.networkPolicy.gateways[0].podSelector.matchExpressions[0].operator: Unsupported value"
)]
#[case::monitor_without_readers(
    json!({"pools": [{"name": "a"}], "picker": {
        "metrics": {"serviceMonitor": true}, "networkPolicy": {"gateways": [{"podSelector": {}}]},
    }}),
    "spec.picker.networkPolicy.metrics: Invalid value"
)]
#[tokio::test]
#[ignore = "needs a cluster"]
async fn refuses_with_the_path(#[case] spec: Value, #[case] words: &str) {
    let error = create("bad", spec).await.expect_err("was accepted");
    assert!(error.contains(words), "{error}");
}

/// What users are told to apply.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn takes_every_sample() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/samples");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&file).unwrap();
        for sample in serde_saphyr::from_multiple::<DynamicObject>(&text).unwrap() {
            let params = PostParams { dry_run: true, field_manager: None };
            let created = api().await.create(&params, &sample).await;
            assert!(created.is_ok(), "{}: {created:?}", file.display());
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn refuses_names_that_are_no_labels() {
    let error = create(&"x".repeat(64), json!({"pools": [{"name": "a"}]})).await.expect_err("was accepted");
    assert!(error.contains("at most 63 characters"), "{error}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn fills_in_the_defaults() {
    let stored = create("plain", json!({"pools": [{"name": "qwen"}]})).await.unwrap();
    assert_eq!(
        stored.data["spec"],
        json!({
            "pools": [{"name": "qwen"}],
            "routing": picker_core::compile::default_routing(),
            "picker": {
                "tls": {"mode": "SelfSigned"},
                "metrics": {"auth": false, "serviceMonitor": false}, "updatePolicy": "Automatic",
            },
            "binding": "Takeover",
        })
    );
    assert_eq!(
        stored.data["status"],
        json!({
            "observedGeneration": -1,
            "conditions": [{
                "type": "Ready", "status": "Unknown", "reason": "Pending",
                "message": "Waiting for the Waypost operator", "lastTransitionTime": "1970-01-01T00:00:00Z",
            }],
        })
    );
}

/// A routing is stored as it was given: a revision is the hash of it.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn stores_a_routing_as_it_is() {
    let routing = json!({
        "plugins": [{"type": "a", "parameters": {"deep": {"list": [1, 2.5, null, {"x": true}]}}}, {"type": "b"}],
        "schedulingProfiles": [{"name": "p", "plugins": [{"pluginRef": "a", "weight": 2}, {"pluginRef": "b"}]}],
    });
    let stored = create("routed", plugins(routing.clone())).await.unwrap();
    assert_eq!(
        picker_core::config::revision(&stored.data["spec"]["routing"]),
        picker_core::config::revision(&routing)
    );
}

/// The rules stay within the API server's budget for the largest object that the schema lets through.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn accepts_the_largest_legal_object() {
    let name = |i: usize| format!("{i:0>63}");
    // Every reference is to the last plugin, which takes the rules longest to find.
    let profile = |i: usize| json!({"name": name(i), "plugins": vec![json!({"pluginRef": name(127), "weight": 1.5}); 32]});
    let requirements = vec![json!({"key": "a", "operator": "NotIn", "values": ["b"]}); 32];
    let peer = json!({"namespaceSelector": {"matchExpressions": requirements}, "podSelector": {}});
    let spec = json!({
        "picker": {
            "metrics": {"serviceMonitor": true},
            "networkPolicy": {"gateways": vec![peer.clone(); 16], "metrics": vec![peer; 16]},
        },
        "pools": (0..64).map(|i| if i < 32 {
            json!({"name": format!("{i:0>253}")})
        } else {
            json!({"selector": {"matchExpressions": vec![json!({"key": "a", "operator": "NotIn", "values": ["b"]}); 32]}})
        }).collect::<Vec<_>>(),
        "routing": {
            "plugins": (0..128).map(|i| json!({"type": name(0), "name": name(i)})).collect::<Vec<_>>(),
            "schedulingProfiles": (0..16).map(profile).collect::<Vec<_>>(),
        },
    });
    create("largest", spec).await.unwrap();
}

/// Pickers write side by side, each its own entry, before or after the operator's status.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn pickers_write_their_own_entries() {
    let (api, name) = (api().await, "entries");
    let _ = api.delete(name, &Default::default()).await;
    api.create(&PostParams::default(), &strategy(name, json!({"pools": [{"name": "none"}]}))).await.unwrap();
    for pod in ["a", "b"] {
        let entry =
            json!({"status": {"pickers": {pod: {"revision": "r", "generation": 1, "version": "0.1.0"}}}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&entry)).await.unwrap();
    }
    let gone = json!({"status": {"pickers": {"a": null}}});
    let stored = api.patch_status(name, &PatchParams::default(), &Patch::Merge(&gone)).await.unwrap();
    api.delete(name, &Default::default()).await.unwrap();
    assert_eq!(
        stored.data["status"]["pickers"],
        json!({"b": {"revision": "r", "generation": 1, "version": "0.1.0"}})
    );
    assert_eq!(stored.data["status"]["conditions"][0]["type"], json!("Ready"));
}
