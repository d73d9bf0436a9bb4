use rstest::rstest;
use serde_json::json;

use super::*;

fn refused(template: Value) -> Option<String> {
    let own = [json!("--strategy=llm/chat"), json!("--cert-path=/etc/waypost/tls")];
    match check(template.as_object().unwrap(), &own, &Limits::default()) {
        Ok(()) => None,
        Err(OverlayError::Unsafe(path) | OverlayError::Metadata(path)) => Some(path),
        Err(OverlayError::Variable { path, .. }) => Some(path),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn where_and_how_large_is_let_through() {
    let template = json!({
        "metadata": {"labels": {"team": "llm"}, "annotations": {"a": "b"}},
        "spec": {
            "nodeSelector": {"pool": "cpu"}, "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "high", "terminationGracePeriodSeconds": 60,
            "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
            "containers": [{
                "name": "picker", "args": ["-v", "4"], "resources": {"limits": {"cpu": "1"}},
                "env": [{"name": "RUST_LOG", "value": "debug"}, {"name": "RUST_BACKTRACE", "$patch": "delete"}],
            }],
        },
    });
    assert_eq!(refused(template), None);
}

#[rstest]
#[case(json!({"spec": {"serviceAccountName": "admin"}}), "spec.serviceAccountName")]
#[case(json!({"spec": {"automountServiceAccountToken": true}}), "spec.automountServiceAccountToken")]
#[case(json!({"spec": {"hostNetwork": true}}), "spec.hostNetwork")]
#[case(json!({"spec": {"hostPID": true}}), "spec.hostPID")]
#[case(json!({"spec": {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}}), "spec.volumes")]
#[case(json!({"spec": {"securityContext": {}}}), "spec.securityContext")]
#[case(json!({"spec": {"initContainers": []}}), "spec.initContainers")]
#[case(json!({"spec": {"$patch": "replace"}}), "spec.$patch")]
#[case(json!({"$patch": "replace"}), "$patch")]
#[case(json!({"spec": {"containers": [{"name": "sidecar"}]}}), "spec.containers[0]")]
#[case(json!({"spec": {"containers": {"$patch": "replace"}}}), "spec.containers")]
#[case(json!({"spec": {"containers": [{"name": "picker", "image": "x"}]}}), "spec.containers[0].image")]
#[case(json!({"spec": {"containers": [{"name": "picker", "command": ["sh"]}]}}), "spec.containers[0].command")]
#[case(json!({"spec": {"containers": [{"name": "picker", "securityContext": null}]}}), "spec.containers[0].securityContext")]
#[case(json!({"spec": {"priorityClassName": "system-node-critical"}}), "spec.priorityClassName")]
#[case(json!({"spec": {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["api"]}]}}), "spec.hostAliases")]
#[case(json!({"spec": {"dnsConfig": {"nameservers": ["192.0.2.1"]}}}), "spec.dnsConfig.nameservers")]
#[case(json!({"spec": {"dnsConfig": {"searches": ["example.com"]}}}), "spec.dnsConfig.searches")]
#[case(
    json!({"spec": {"containers": [{"name": "picker", "resources": {"limits": {"cpu": "1", "example.com/kvm": "1"}}}]}}),
    "spec.containers[0].resources.limits[example.com/kvm]"
)]
#[case(
    json!({"spec": {"containers": [{"name": "picker", "resources": {"requests": {"hugepages-2Mi": "1Gi"}}}]}}),
    "spec.containers[0].resources.requests[hugepages-2Mi]"
)]
#[case(
    json!({"metadata": {"annotations": {"sidecar.istio.io/userVolume": "[]"}}}),
    "metadata.annotations[sidecar.istio.io/userVolume]"
)]
#[case(json!({"metadata": {"labels": {"iam.example.com/role": "admin"}}}), "metadata.labels[iam.example.com/role]")]
#[case(
    json!({"spec": {"containers": [{"name": "picker", "envFrom": [{"secretRef": {"name": "x"}}]}]}}),
    "spec.containers[0].envFrom"
)]
#[case(
    json!({"spec": {"containers": [{"name": "picker", "env": [{"name": "X", "valueFrom": {}}]}]}}),
    "spec.containers[0].env[0].valueFrom"
)]
fn what_gives_rights_is_not(#[case] template: Value, #[case] path: &str) {
    assert_eq!(refused(template).as_deref(), Some(path));
}

#[test]
fn of_all_fields_only_those_of_where_and_how_large_are() {
    let refused = |type_: &str, path: &str, put: &dyn Fn(Map<String, Value>) -> Value| {
        let schema = schemars::schema_for!(k8s_openapi::api::core::v1::PodTemplateSpec).to_value();
        let fields =
            schema["$defs"].as_object().unwrap().iter().find(|(name, _)| name.ends_with(type_)).unwrap().1;
        let fields = fields["properties"].as_object().unwrap().keys();
        let let_through = |name: &&String| {
            let template = put(json!({*name: null}).as_object().unwrap().clone());
            match refused(template) {
                None => true,
                Some(at) => {
                    assert_eq!(at, format!("{path}.{name}"));
                    false
                }
            }
        };
        fields.filter(let_through).cloned().collect::<Vec<_>>()
    };
    let mut pod = refused(".PodSpec", "spec", &|spec| json!({"spec": spec}));
    pod.sort();
    assert_eq!(pod, POD);
    let mut container = refused(".Container", "spec.containers[0]", &|mut container| {
        container.insert("name".to_owned(), "picker".into());
        json!({"spec": {"containers": [container]}})
    });
    container.sort();
    assert_eq!(container, CONTAINER);
    let mut variable = refused(".EnvVar", "spec.containers[0].env[0]", &|mut variable| {
        variable.insert("name".to_owned(), "RUST_LOG".into());
        json!({"spec": {"containers": [{"name": "picker", "env": [variable]}]}})
    });
    variable.sort();
    assert_eq!(variable, ["name", "value"]);
}

#[rstest]
#[case("KUBECONFIG")]
#[case("KUBE_RS_DEBUG_OVERRIDE_URL")]
#[case("KUBE_RS_DEBUG_IMPERSONATE_USER")]
#[case("KUBERNETES_SERVICE_HOST")]
#[case("KUBERNETES_SERVICE_PORT")]
#[case("HOME")]
#[case("LD_PRELOAD")]
#[case("SSL_CERT_FILE")]
#[case("MIMALLOC_SHOW_STATS")]
#[case("POD_NAME")]
#[case("NAMESPACE")]
#[case("rust_log")]
#[case("RUST_LOG ")]
#[case("HTTPS_PROXY")]
#[case("https_proxy")]
#[case("ALL_PROXY")]
#[case("")]
fn other_variables_are_refused_set_or_taken_out(#[case] name: &str) {
    for env in [
        json!({"name": name, "value": "x"}),
        json!({"name": name}),
        json!({"name": name, "$patch": "delete"}),
        json!({"name": name, "$patch": "replace"}),
    ] {
        let template = json!({"spec": {"containers": [
            {"name": "picker", "env": [{"name": "RUST_LOG", "value": "info"}, env]},
        ]}});
        assert_eq!(refused(template).as_deref(), Some("spec.containers[0].env[1].name"));
    }
}

#[test]
fn what_is_no_variable_is_refused() {
    for env in
        [json!([null]), json!(["KUBECONFIG=x"]), json!([{"value": "x"}]), json!([{"$patch": "replace"}])]
    {
        let template = json!({"spec": {"containers": [{"name": "picker", "env": env}]}});
        assert_eq!(refused(template).as_deref(), Some("spec.containers[0].env[0].name"));
    }
    let template = json!({"spec": {"containers": [{"name": "picker", "env": {"KUBECONFIG": "x"}}]}});
    assert_eq!(refused(template).as_deref(), Some("spec.containers[0].env"));
}

#[test]
fn proxies_and_labels_are_as_the_operator_was_told() {
    let check = |template: Value, limits: &Limits| {
        check(template.as_object().unwrap(), &[], limits).map_err(|error| error.to_string())
    };
    let env =
        |name| json!({"spec": {"containers": [{"name": "picker", "env": [{"name": name, "value": "x"}]}]}});
    let limits = Limits { proxies: true, plain_labels: false, ..Limits::default() };
    for name in PROXIES {
        assert_eq!(check(env(*name), &limits), Ok(()));
    }
    let said = check(env("KUBECONFIG"), &limits).unwrap_err();
    assert!(said.contains("RUST_LOG") && said.contains("no_proxy"), "{said}");
    let said = check(env("KUBECONFIG"), &Limits::default()).unwrap_err();
    assert_eq!(
        said,
        "spec.picker.podTemplate.spec.containers[0].env[0].name: \"KUBECONFIG\" is not allowed, since it could \
             lead a picker to other files or addresses; allowed are RUST_BACKTRACE, RUST_LOG, TOKIO_WORKER_THREADS, \
             and with --allow-proxy-variables of the operator those of proxies"
    );
    let labels = json!({"metadata": {"labels": {"app": "vault"}, "annotations": {"team": "llm"}}});
    assert_eq!(check(labels.clone(), &Limits::default()), Ok(()));
    let said = check(labels, &limits).unwrap_err();
    assert!(said.starts_with("spec.picker.podTemplate.metadata.labels[app]: not allowed"), "{said}");
}

#[rstest]
#[case(json!(["-v", "4"]), None)]
#[case(json!(["--v=4", "--zap-log-level", "debug", "--max-request-body=1", "--refuse-longer-bodies", "--drain-timeout", "1m", "--body-timeout=9s", "--compat-metrics=gie", "--model-server-metrics-port=8002"]), None)]
#[case(json!(["--model-server-metrics-scheme", "https", "--model-server-metrics-https-insecure-skip-verify=false"]), None)]
#[case(json!(["--model-server-metrics-ca-cert-path=/var/run/secrets/kubernetes.io/serviceaccount/token"]), Some(0))]
#[case(json!(["--model-server-metrics-client-key-path=/etc/waypost/tls/tls.key"]), Some(0))]
// As older documentation said to.
#[case(json!(["--strategy=llm/chat", "--cert-path=/etc/waypost/tls", "-v=4"]), None)]
#[case(json!(null), None)]
#[case(json!(["--config-text", "plugins: [{type: file-discovery}]"]), Some(0))]
#[case(json!(["--config-text=x"]), Some(0))]
#[case(json!(["-v", "4", "--endpoint-selector=app=other"]), Some(2))]
#[case(json!(["-v", "--config-file=/var/run/secrets/kubernetes.io/serviceaccount/token"]), Some(1))]
#[case(json!(["-configText", "x"]), Some(0))]
#[case(json!(["--strategy=other/chat"]), Some(0))]
#[case(json!(["--cert-path=/etc"]), Some(0))]
#[case(json!(["--pool-namespace=other"]), Some(0))]
#[case(json!(["--grpc-port=1"]), Some(0))]
#[case(json!(["--v=4", "4"]), Some(1))]
#[case(json!(["-v", "4", "5"]), Some(2))]
#[case(json!(["check", "/etc/passwd"]), Some(0))]
#[case(json!(["--"]), Some(0))]
#[case(json!(["-v", "$(RUST_LOG)"]), Some(1))]
#[case(json!(["$(RUST_LOG)"]), Some(0))]
#[case(json!(["--model-server-metrics-path=/$(POD_IP)"]), Some(0))]
#[case(json!([{"$patch": "replace"}]), Some(0))]
fn only_flags_that_name_nothing_are(#[case] args: Value, #[case] at: Option<usize>) {
    let template = json!({"spec": {"containers": [{"name": "picker", "args": args}]}});
    assert_eq!(refused(template), at.map(|at| format!("spec.containers[0].args[{at}]")));
}
