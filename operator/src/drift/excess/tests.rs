use crds::{PickerSpec, PoolGroup};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::build::testing;
use crate::drift::{find, seal};

fn built(picker: Value) -> Vec<crate::kinds::Object> {
    let picker: PickerSpec = serde_json::from_value(picker).unwrap();
    let built = testing::built("qwen", PoolGroup::V1, "qwen-picker", &picker, &testing::defaults());
    let mut objects = built.unwrap();
    objects.iter_mut().for_each(|object| seal(&mut object.content));
    objects
}

fn wanted(kind: Kind, picker: Value) -> DynamicObject {
    built(picker).into_iter().find(|object| object.kind == kind).unwrap().content
}

/// What kube-apiserver 1.34 and its controllers add.
fn additions(kind: Kind) -> Value {
    match kind {
        Kind::Deployment => json!({
            "spec": {
                "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
                "template": {
                    "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z"},
                        "creationTimestamp": null},
                    "spec": {
                        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                        "serviceAccount": "qwen-picker",
                    },
                },
            },
            "status": {
                "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
                "availableReplicas": 2, "conditions": [{"type": "Available", "status": "True"}],
            },
        }),
        Kind::Service => json!({
            "spec": {
                "clusterIP": "10.96.12.7", "clusterIPs": ["10.96.12.7"], "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            },
            "status": {"loadBalancer": {}},
        }),
        Kind::HorizontalPodAutoscaler => json!({
            "status": {"currentReplicas": 3, "desiredReplicas": 3, "currentMetrics": null},
        }),
        _ => json!({}),
    }
}

fn container_additions() -> Value {
    json!({
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "securityContext": {"procMount": "Default"},
        "readinessProbe": {"timeoutSeconds": 1, "successThreshold": 1},
        "livenessProbe": {"successThreshold": 1},
    })
}

fn add(to: &mut Value, more: &Value) {
    match (to, more) {
        (Value::Object(to), Value::Object(more)) => {
            for (name, more) in more {
                add(to.entry(name).or_insert(Value::Null), more);
            }
        }
        (to, more) => *to = more.clone(),
    }
}

/// The object as the API server has it some time after it was applied.
fn stored(kind: Kind, wanted: &DynamicObject) -> DynamicObject {
    let mut live = wanted.clone();
    add(&mut live.data, &additions(kind));
    live.metadata.annotations.get_or_insert_default().extend([
        ("deployment.kubernetes.io/revision".to_owned(), "3".to_owned()),
        ("autoscaling.alpha.kubernetes.io/conditions".to_owned(), "[]".to_owned()),
    ]);
    if kind == Kind::Deployment {
        let container = &mut live.data["spec"]["template"]["spec"]["containers"][0];
        add(container, &container_additions());
        for env in container["env"].as_array_mut().unwrap() {
            add(env, &json!({"valueFrom": {"fieldRef": {"apiVersion": "v1"}}}));
        }
        if let Some(volumes) = live.data["spec"]["template"]["spec"]["volumes"].as_array_mut() {
            for volume in volumes {
                let kind = if volume.get("secret").is_some() { "secret" } else { "configMap" };
                add(volume, &json!({kind: {"defaultMode": 420}}));
            }
        }
    }
    live
}

fn everything() -> Value {
    json!({
        "autoscaling": {"maxReplicas": 3}, "tls": {"mode": "Secret", "secretName": "x", "clientCA": {"configMapName": "y"}},
        "metrics": {"auth": true, "serviceMonitor": true},
        "podTemplate": {"spec": {
            "nodeSelector": {"pool": "cpu"}, "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "imagePullSecrets": [{"name": "registry"}],
        }},
        "networkPolicy": {"gateways": [{"namespaceSelector": {}}], "metrics": [{"podSelector": {}}]},
    })
}

#[rstest]
#[case(json!({}))]
#[case(everything())]
fn what_the_cluster_adds_by_itself_is_nothing_to_correct(#[case] picker: Value) {
    for object in built(picker) {
        let mut live = stored(object.kind, &object.content);
        if object.kind == Kind::Deployment && object.content.data["spec"].get("replicas").is_none() {
            // The autoscaler's.
            live.data["spec"]["replicas"] = 3.into();
        }
        let found = (find(&live, &object.content), excess(object.kind, &live, &object.content));
        assert_eq!(found, (None, None), "{:?}", object.kind);
    }
}

/// A JSON merge patch, as the API server applies it.
fn merge(to: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *to = patch.clone() };
    if !to.is_object() {
        *to = json!({});
    }
    for (name, change) in patch {
        match change {
            Value::Null => drop(to.as_object_mut().unwrap().shift_remove(name)),
            change => merge(&mut to[name], change),
        }
    }
}

/// That what is found is gone after the patch, so that there is no second one.
fn corrected(kind: Kind, live: &mut DynamicObject, wanted: &DynamicObject) -> Excess {
    let found = excess(kind, live, wanted).unwrap();
    merge(&mut live.data, &found.patch);
    assert_eq!((excess(kind, live, wanted), find(live, wanted)), (None, None));
    found
}

#[rstest]
#[case("/spec/paused", json!(true), "spec.paused", json!({"spec": {"paused": null}}))]
#[case(
    "/spec/template/spec/hostNetwork", json!(true), "spec.template.spec.hostNetwork",
    json!({"spec": {"template": {"spec": {"hostNetwork": null}}}})
)]
#[case(
    "/spec/template/spec/hostPID", json!(true), "spec.template.spec.hostPID",
    json!({"spec": {"template": {"spec": {"hostPID": null}}}})
)]
#[case(
    "/spec/template/spec/volumes", json!([{"name": "host", "hostPath": {"path": "/", "type": ""}}]),
    "spec.template.spec.volumes", json!({"spec": {"template": {"spec": {"volumes": null}}}})
)]
#[case(
    "/spec/template/spec/nodeSelector", json!({"pool": "gone"}), "spec.template.spec.nodeSelector",
    json!({"spec": {"template": {"spec": {"nodeSelector": null}}}})
)]
#[case(
    "/spec/template/spec/tolerations", json!([{"operator": "Exists"}]), "spec.template.spec.tolerations",
    json!({"spec": {"template": {"spec": {"tolerations": null}}}})
)]
#[case(
    "/spec/template/spec/securityContext/sysctls", json!([{"name": "a", "value": "b"}]),
    "spec.template.spec.securityContext.sysctls",
    json!({"spec": {"template": {"spec": {"securityContext": {"sysctls": null}}}}})
)]
fn what_was_added_to_a_deployment_is_taken_out(
    #[case] at: &str,
    #[case] value: Value,
    #[case] path: &str,
    #[case] patch: Value,
) {
    let wanted = wanted(Kind::Deployment, json!({}));
    let mut live = stored(Kind::Deployment, &wanted);
    let (parent, field) = at.rsplit_once('/').unwrap();
    live.data.pointer_mut(parent).unwrap()[field] = value;
    assert_eq!(corrected(Kind::Deployment, &mut live, &wanted), Excess { path: path.to_owned(), patch });
}

/// A list can only be written as a whole.
#[rstest]
#[case("command", json!(["sleep", "1d"]), "spec.template.spec.containers[].command")]
#[case("envFrom", json!([{"secretRef": {"name": "x"}}]), "spec.template.spec.containers[].envFrom")]
#[case(
    "securityContext", json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}),
    "spec.template.spec.containers[].securityContext.capabilities.add"
)]
#[case(
    "env", json!([{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "HTTPS_PROXY", "value": "http://elsewhere"}]),
    "spec.template.spec.containers[].env"
)]
fn what_was_added_to_the_container_is_taken_out(
    #[case] field: &str,
    #[case] value: Value,
    #[case] path: &str,
) {
    let wanted = wanted(Kind::Deployment, json!({}));
    let mut live = stored(Kind::Deployment, &wanted);
    live.data["spec"]["template"]["spec"]["containers"][0][field] = value;
    let found = corrected(Kind::Deployment, &mut live, &wanted);
    let containers = &wanted.data["spec"]["template"]["spec"]["containers"];
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    assert_eq!(found, Excess { path: path.to_owned(), patch });
}

#[test]
fn a_container_more_is_taken_out() {
    let wanted = wanted(Kind::Deployment, json!({}));
    let mut live = stored(Kind::Deployment, &wanted);
    let containers = live.data["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers.insert(0, json!({"name": "sidecar", "image": "evil"}));
    assert_eq!(corrected(Kind::Deployment, &mut live, &wanted).path, "spec.template.spec.containers");
}

#[test]
fn what_a_strategy_asks_for_is_no_excess_and_more_of_it_is() {
    let wanted = wanted(Kind::Deployment, everything());
    let mut live = stored(Kind::Deployment, &wanted);
    let pod = &mut live.data["spec"]["template"]["spec"];
    pod["volumes"].as_array_mut().unwrap().push(json!({"name": "more", "emptyDir": {}}));
    assert_eq!(corrected(Kind::Deployment, &mut live, &wanted).path, "spec.template.spec.volumes");
    // Applying replaces these as a whole.
    live.data["spec"]["template"]["spec"]["nodeSelector"]["more"] = "x".into();
    assert_eq!(excess(Kind::Deployment, &live, &wanted), None);
    assert_eq!(find(&live, &wanted).as_deref(), Some("spec.template.spec.nodeSelector.more"));
}

#[test]
fn traffic_that_was_led_elsewhere_comes_back() {
    let wanted = wanted(Kind::Service, json!({}));
    let mut live = stored(Kind::Service, &wanted);
    add(
        &mut live.data,
        &json!({"spec": {
            "externalIPs": ["192.0.2.1"], "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
        }}),
    );
    let ports = live.data["spec"]["ports"].as_array_mut().unwrap();
    ports.push(json!({"name": "more", "port": 22, "targetPort": 22, "protocol": "TCP"}));
    let found = corrected(Kind::Service, &mut live, &wanted);
    assert_eq!(
        found.patch,
        json!({"spec": {
            "ports": wanted.data["spec"]["ports"],
            "sessionAffinity": null, "externalIPs": null, "sessionAffinityConfig": null,
        }})
    );
}

#[test]
fn rights_are_compared_whole_and_replaced_by_applying() {
    let wanted = wanted(Kind::Role, json!({}));
    let mut live = stored(Kind::Role, &wanted);
    live.data["rules"][0]["resourceNames"] = json!(["only-this"]);
    assert_eq!(find(&live, &wanted).as_deref(), Some("rules[0].resourceNames"));
    assert_eq!(excess(Kind::Role, &live, &wanted), None);
}
