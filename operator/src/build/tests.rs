use crds::{Autoscaling, Metrics, PickerSpec, PoolGroup, Tls, TlsMode};
use serde_json::{Value, json};

use super::testing::{built, defaults};
use super::*;
use crate::names;

/// All objects of a picker, written as YAML.
fn yaml(pool: &str, group: PoolGroup, picker: &PickerSpec) -> String {
    let mut defaults = defaults();
    defaults.limits.image_prefixes = vec!["example.com/".to_owned()];
    let name = names::picker(group, pool);
    let objects = built(pool, group, &name, picker, &defaults).unwrap();
    objects.iter().map(|o| format!("---\n{}", serde_saphyr::to_string(&o.content).unwrap())).collect()
}

#[test]
fn a_plain_picker() {
    insta::assert_snapshot!(yaml("qwen3-32b", PoolGroup::V1, &PickerSpec::default()));
}

#[test]
fn one_replica_of_an_old_pool_has_no_budget() {
    let picker = PickerSpec { replicas: Some(1), ..PickerSpec::default() };
    insta::assert_snapshot!(yaml("qwen3-32b", PoolGroup::V1Alpha2, &picker));
}

#[test]
fn everything_that_can_be_asked_for() {
    let picker: PickerSpec = serde_json::from_value(json!({
        "image": "example.com/picker:test",
        "autoscaling": {"minReplicas": 2, "maxReplicas": 6, "targetCPUUtilizationPercentage": 60},
        "resources": {"requests": {"cpu": "500m"}},
        "failureMode": "FailClose",
        "metrics": {"auth": true, "serviceMonitor": true},
        "tls": {"mode": "Secret", "secretName": "picker-tls", "clientCA": {"configMapName": "gateways"}},
        "podTemplate": {
            "metadata": {"annotations": {"team": "llm"}},
            "spec": {
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "containers": [{"name": "picker", "env": [{"name": "RUST_LOG", "value": "debug"}]}],
            },
        },
    }))
    .unwrap();
    insta::assert_snapshot!(yaml("llama-3.1-8b", PoolGroup::V1, &picker));
}

#[test]
fn an_autoscaler_owns_the_replicas() {
    let autoscaling = Autoscaling { min_replicas: 1, max_replicas: 3, target_cpu_utilization_percentage: 80 };
    let picker = PickerSpec { autoscaling: Some(autoscaling), ..PickerSpec::default() };
    let text = yaml("qwen3-32b", PoolGroup::V1, &picker);
    assert!(!text.contains("\n  replicas:"), "{text}");
    assert!(!text.contains("PodDisruptionBudget"), "{text}");
}

#[test]
fn plaintext_only_is_a_flag() {
    let tls = Tls { mode: TlsMode::Disabled, ..Tls::default() };
    let text = yaml("qwen3-32b", PoolGroup::V1, &PickerSpec { tls, ..PickerSpec::default() });
    assert!(text.contains("--secure-serving=false"), "{text}");
}

/// An upgrade is told from an edit by this, so that a new default must not move it.
#[test]
fn what_is_asked_does_not_depend_on_defaults_nor_on_how_many() {
    let asked = |picker: Value| {
        let text = yaml("qwen3-32b", PoolGroup::V1, &serde_json::from_value(picker).unwrap());
        text.lines().find(|line| line.contains(deployment::ASKED)).unwrap().to_owned()
    };
    let plain = asked(json!({}));
    assert_eq!(
        asked(json!({"failureMode": "FailOpen", "tls": {"mode": "SelfSigned"}, "updatePolicy": "Automatic"})),
        plain
    );
    assert_eq!(asked(json!({"replicas": 7, "updatePolicy": "Manual"})), plain);
    assert_ne!(asked(json!({"image": "example.com/pinned"})), plain);
}

#[test]
fn pickers_may_ask_who_reads_their_metrics() {
    let binding = auth::binding("llm", "chat", "1.2.3", &["qwen-picker", "llama-picker"]).unwrap();
    insta::assert_snapshot!(serde_saphyr::to_string(&binding.content).unwrap());
}

/// The pod of pickers with this `spec.picker.tls`.
fn pod(tls: Value) -> Value {
    let picker = serde_json::from_value(json!({"tls": tls})).unwrap();
    let text = yaml("qwen3-32b", PoolGroup::V1, &picker);
    let deployment = text.split("---\n").find(|object| object.contains("kind: Deployment")).unwrap();
    let deployment: Value = serde_saphyr::from_str(deployment).unwrap();
    deployment["spec"]["template"]["spec"].clone()
}

#[test]
fn of_a_secret_pods_see_the_certificate_and_its_key() {
    let items = json!([{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}]);
    assert_eq!(
        pod(json!({"mode": "Secret", "secretName": "any"}))["volumes"],
        json!([{"name": "tls", "secret": {"secretName": "any", "items": items}}])
    );
}

#[test]
fn of_what_has_the_authorities_of_gateways_pods_see_these_alone() {
    let items = json!([{"key": "ca.crt", "path": "ca.crt"}]);
    let cases = [
        (json!({"configMapName": "any"}), json!({"configMap": {"name": "any", "items": items}})),
        (json!({"secretName": "any"}), json!({"secret": {"secretName": "any", "items": items}})),
    ];
    for (named, mut volume) in cases {
        volume["name"] = "client-ca".into();
        let pod = pod(json!({"clientCA": named}));
        assert_eq!(pod["volumes"], json!([volume]));
        let container = &pod["containers"][0];
        let mount = json!({"name": "client-ca", "mountPath": "/etc/waypost/client-ca", "readOnly": true});
        assert_eq!(container["volumeMounts"], json!([mount]));
        let args = container["args"].as_array().unwrap();
        assert!(args.contains(&json!("--client-ca=/etc/waypost/client-ca/ca.crt")), "{args:?}");
    }
}

/// A rule of the namespace's other pods would let through none of them.
#[test]
fn the_token_of_prometheus_is_for_pods_of_the_strategy_alone() {
    let metrics = |auth| Metrics { auth, service_monitor: true };
    let objects = |auth| {
        let text =
            yaml("qwen-2.5", PoolGroup::V1, &PickerSpec { metrics: metrics(auth), ..PickerSpec::default() });
        let find = |kind: &str| {
            let object =
                text.split("---\n").find(|object| object.contains(&format!("kind: {kind}\n"))).unwrap();
            serde_saphyr::from_str::<Value>(object).unwrap()
        };
        (find("ServiceMonitor"), find("Service"), find("Deployment"))
    };
    let (monitor, service, deployment) = objects(true);
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert!(endpoint["bearerTokenFile"].is_string());
    // Every label of the pods has its rule, and the Service has them all.
    let labels = deployment["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
    let rules: Vec<_> = labels
        .iter()
        .map(|(name, value)| {
            let source = name.replace(['.', '/', '-'], "_");
            let regex = value.as_str().unwrap().replace('.', "\\.");
            json!({"action": "keep", "sourceLabels": [format!("__meta_kubernetes_pod_label_{source}")], "regex": regex})
        })
        .collect();
    assert_eq!(endpoint["relabelings"], json!(rules));
    assert_eq!(labels[names::STRATEGY_UID], json!("0b5c1f6e-0000-4000-8000-000000000001"));
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert_eq!(selected, labels);
    assert!(selected.iter().all(|(name, value)| service["metadata"]["labels"][name] == *value));
    // Without a token there is nothing to keep from others.
    assert_eq!(
        objects(false).0["spec"]["endpoints"],
        json!([{"port": "metrics", "path": "/metrics", "scheme": "http"}])
    );
}

/// What is said against pickers of `image`, with metrics for those who may read them or for all.
fn refused(image: Option<&str>, auth: bool, defaults: &Defaults) -> Option<String> {
    let metrics = Metrics { auth, ..Metrics::default() };
    said(&PickerSpec { image: image.map(str::to_owned), metrics, ..PickerSpec::default() }, defaults)
}

/// What is said against pickers.
fn said(picker: &PickerSpec, defaults: &Defaults) -> Option<String> {
    built("qwen", PoolGroup::V1, "qwen-picker", picker, defaults).err().map(|error| error.to_string())
}

#[test]
fn an_image_from_elsewhere_is_refused_by_the_name_of_its_field() {
    let mut defaults = defaults();
    defaults.limits.image_prefixes = vec!["registry.example.com/".to_owned(), "ghcr.io/waypost/".to_owned()];
    // That of the operator's release is the installer's choice.
    for image in [None, Some("registry.example.com/picker:1")] {
        assert_eq!(refused(image, true, &defaults), None);
    }
    assert_eq!(
        refused(Some("evil/picker"), false, &defaults).as_deref(),
        Some(
            "spec.picker.image: evil/picker is not allowed; this operator takes images under registry.example.com/, \
             ghcr.io/waypost/"
        )
    );
}

#[test]
fn a_right_of_the_cluster_is_for_no_image_of_anybody() {
    let defaults = defaults();
    assert_eq!(refused(None, true, &defaults), None);
    assert_eq!(refused(Some("any"), false, &defaults), None);
    let said = refused(Some("any"), true, &defaults).unwrap();
    assert!(said.starts_with("spec.picker.metrics.auth: with spec.picker.image"), "{said}");
}

/// An operator with Roles alone can't give what it has not.
#[test]
fn without_rights_of_the_cluster_pickers_get_none() {
    let mut defaults = defaults();
    defaults.limits.of_cluster = false;
    assert_eq!(refused(None, false, &defaults), None);
    let said = refused(None, true, &defaults).unwrap();
    assert!(
        said.starts_with("spec.picker.metrics.auth: this operator has no rights of the cluster"),
        "{said}"
    );
}

#[test]
fn a_private_key_is_for_no_image_of_anybody() {
    let refused = |image: Option<&str>, defaults: &Defaults| {
        let tls = Tls { mode: TlsMode::Secret, secret_name: Some("any".to_owned()), ..Tls::default() };
        let picker = PickerSpec { image: image.map(str::to_owned), tls, ..PickerSpec::default() };
        said(&picker, defaults)
    };
    let mut defaults = defaults();
    assert_eq!(refused(None, &defaults), None);
    let why = refused(Some("any"), &defaults).unwrap();
    assert!(why.starts_with("spec.picker.tls.secretName: with spec.picker.image"), "{why}");
    defaults.limits.image_prefixes = vec!["registry.example.com/".to_owned()];
    assert_eq!(refused(Some("registry.example.com/picker:1"), &defaults), None);
    // Whoever may say anything may mount any Secret.
    let defaults = Defaults { allow_unsafe_pod_templates: true, limits: Limits::default(), ..defaults };
    assert_eq!(refused(Some("any"), &defaults), None);
}

#[test]
fn resources_bring_no_device_into_a_pod() {
    let refused = |resources: Value, defaults: &Defaults| {
        said(&serde_json::from_value(json!({"resources": resources})).unwrap(), defaults)
    };
    let mut defaults = defaults();
    let room = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"ephemeral-storage": "1Gi"}});
    assert_eq!(refused(room, &defaults), None);
    let device = json!({"limits": {"example.com/host-disk": "1"}});
    let why = refused(device.clone(), &defaults).unwrap();
    assert!(why.starts_with("spec.picker.resources.limits[example.com/host-disk]: not allowed"), "{why}");
    defaults.allow_unsafe_pod_templates = true;
    assert_eq!(refused(device, &defaults), None);
}
