//! The Helm chart, rendered: what its values make, which values it refuses, and that those of the last release still do.

#![allow(clippy::unwrap_used, reason = "what does not render fails the test")]

use std::fs;
use std::path::Path;

use e2e::tools::{Clients, promtool};
use e2e::{Progress, paths, shell};
use serde_json::{Value, json};

/// Helm, and the chart of this checkout.
struct Chart {
    clients: Clients,
}

impl Chart {
    async fn ready() -> Self {
        Self { clients: Clients::ready(&Progress::stdout()).await.unwrap() }
    }

    /// The objects of the chart in `folder` with `values`, or why there are none.
    async fn rendered_from(&self, folder: &Path, values: &Value) -> Result<Vec<Value>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), values.to_string()).unwrap();
        let helm = shell::run(&self.clients.helm)
            .args(["template", "waypost"])
            .arg(folder)
            .args(["--namespace", "waypost-system", "--kube-version", "1.33.0"])
            .args(["--set", "crds.enabled=false", "--values"])
            .arg(file.path());
        let text = helm.output().await.map_err(|error| format!("{error:#}"))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
    }

    async fn rendered(&self, values: Value) -> Result<Vec<Value>, String> {
        self.rendered_from(&paths::checkout().join("charts/waypost"), &values).await
    }
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
}

/// Kind, name and namespace of each.
fn names(objects: &[Value]) -> Vec<[&str; 3]> {
    let mut names: Vec<_> = objects
        .iter()
        .map(|object| {
            let metadata = &object["metadata"];
            [&object["kind"], &metadata["name"], &metadata["namespace"]]
                .map(|text| text.as_str().unwrap_or_default())
        })
        .collect();
    names.sort_unstable();
    names
}

fn own_pods() -> Value {
    json!({"matchLabels": {
        "app.kubernetes.io/name": "waypost", "app.kubernetes.io/instance": "waypost",
        "app.kubernetes.io/component": "operator",
    }})
}

#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn lints_without_a_warning() {
    let chart = Chart::ready().await;
    let folder = paths::checkout().join("charts/waypost");
    shell::run(&chart.clients.helm).args(["lint", "--strict"]).arg(folder).done().await.unwrap();
}

/// What the API server would refuse, or take for something else, is refused by the name of the value.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn what_the_api_server_would_refuse_is_refused() {
    let chart = Chart::ready().await;
    let mut taken = Vec::new();
    for (values, place) in [
        (json!({"podAnnotations": {"a": 1}}), "/podAnnotations/a"),
        (json!({"podAnnotations": {"a b": "c"}}), "propertyName 'a b'"),
        (json!({"podLabels": {"a": "-x"}}), "/podLabels/a"),
        // Of a name that may not be, Helm tells the name alone.
        (json!({"podLabels": {"app.kubernetes.io/name": "x"}}), "propertyName 'app.kubernetes.io/name'"),
        (json!({"nodeSelector": {"disk": true}}), "/nodeSelector/disk"),
        (json!({"serviceAccount": {"annotations": {"a": true}}}), "/serviceAccount/annotations/a"),
        (json!({"tolerations": [{"operator": "Exist"}]}), "/tolerations/0"),
        (json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}), "/tolerations/0/value"),
        (json!({"tolerations": [{"value": "b"}]}), "/tolerations/0"),
        (json!({"affinity": {"podAffinty": {}}}), "/affinity"),
        (
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}}),
            "topologyKey",
        ),
        (json!({"resources": {"limits": {"memory": "12Q"}}}), "/resources/limits/memory"),
        (json!({"resources": {"limit": {}}}), "/resources"),
        (json!({"imagePullSecrets": ["name"]}), "/imagePullSecrets/0"),
        (json!({"image": {"repository": "a b"}}), "/image/repository"),
        (json!({"replicas": -1}), "/replicas"),
        (json!({"replicas": "2"}), "/replicas"),
        (json!({"listen": "8080"}), "/listen"),
        (json!({"watchNamespaces": ["Llm"]}), "/watchNamespaces/0"),
        (json!({"watchNamespaces": ["llm", "llm"]}), "/watchNamespaces"),
        (json!({"clusterLeaseNamespace": "Kube-System"}), "/clusterLeaseNamespace"),
        (
            json!({"networkPolicy": {"gateways": [{"namespaceSelector": {"app": "x"}}]}}),
            "/networkPolicy/gateways/0",
        ),
        (json!({"operatorNetworkPolicy": {"metrics": [{}]}}), "/operatorNetworkPolicy/metrics/0"),
        (
            json!({"operatorNetworkPolicy": {"metrics": [{"podSelector": {"matchExpressions": [
                {"key": "a", "operator": "In"},
            ]}}]}}),
            "/operatorNetworkPolicy/metrics/0",
        ),
        (json!({"topologySpreadConstraints": [{"topologyKey": "zone"}]}), "/topologySpreadConstraints/0"),
        (json!({"serviceMonitor": {"interval": "often"}}), "/serviceMonitor/interval"),
        (json!({"serviceMonitor": {"labels": {"release": 1}}}), "/serviceMonitor/labels/release"),
        (json!({"priorityClassName": "High"}), "/priorityClassName"),
        (json!({"podDisruptionBudget": {"minAvailable": 1}}), "/podDisruptionBudget"),
        (json!({"aggregatedRoles": true}), "/aggregatedRoles"),
        (json!({"nosuch": 1}), "nosuch"),
    ] {
        match chart.rendered(values.clone()).await {
            Ok(_) => taken.push(format!("{values} was taken")),
            Err(error) if !error.contains(place) => taken.push(format!("{values}: {error}")),
            Err(_) => {}
        }
    }
    assert_eq!(taken, Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn those_who_may_view_or_edit_a_namespace_may_its_strategies() {
    let objects = Chart::ready().await.rendered(json!({})).await.unwrap();
    let given = |name: &str| {
        let role = find(&objects, "ClusterRole", name);
        let labels = role["metadata"]["labels"].as_object().unwrap().iter();
        let to: Vec<&str> = labels
            .filter_map(|(label, value)| {
                label.strip_prefix("rbac.authorization.k8s.io/aggregate-to-").filter(|_| value == "true")
            })
            .collect();
        json!({"to": to, "rules": role["rules"]})
    };
    let rule = |resource: &str, verbs: Value| json!({"apiGroups": ["waypost.dev"], "resources": [resource], "verbs": verbs});
    assert_eq!(
        [given("waypost-view"), given("waypost-edit")],
        [
            json!({"to": ["view", "edit", "admin"], "rules": [
                rule("routingstrategies", json!(["get", "list", "watch"])),
                rule("routingstrategies/status", json!(["get"])),
            ]}),
            json!({"to": ["edit", "admin"], "rules": [
                rule("routingstrategies", json!(["create", "delete", "deletecollection", "patch", "update"])),
            ]}),
        ]
    );
    let without =
        Chart::ready().await.rendered(json!({"aggregatedRoles": {"enabled": false}})).await.unwrap();
    let roles = names(&without).into_iter().filter(|[kind, ..]| *kind == "ClusterRole");
    assert_eq!(roles.collect::<Vec<_>>(), [["ClusterRole", "waypost-operator", ""]]);
}

/// With namespaces to watch there is a Role in each of them, and nothing of the cluster.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn in_some_namespaces_nothing_is_of_the_cluster() {
    let objects = Chart::ready().await.rendered(json!({"watchNamespaces": ["a", "b"]})).await.unwrap();
    assert_eq!(
        names(&objects),
        [
            ["Deployment", "waypost-operator", "waypost-system"],
            ["PodDisruptionBudget", "waypost-operator", "waypost-system"],
            ["Role", "waypost-operator", "waypost-system"],
            ["Role", "waypost-watched", "a"],
            ["Role", "waypost-watched", "b"],
            ["RoleBinding", "waypost-operator", "waypost-system"],
            ["RoleBinding", "waypost-watched", "a"],
            ["RoleBinding", "waypost-watched", "b"],
            ["ServiceAccount", "waypost-operator", "waypost-system"],
        ]
    );
    let container =
        &find(&objects, "Deployment", "waypost-operator")["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<&str> =
        container["args"].as_array().unwrap().iter().filter_map(Value::as_str).skip(1).collect();
    assert_eq!(
        args[..4],
        ["--listen=[::]:8080", "--watch-namespace=a", "--watch-namespace=b", "--cluster-rights=false"]
    );
    let subjects =
        json!([{"kind": "ServiceAccount", "name": "waypost-operator", "namespace": "waypost-system"}]);
    assert_eq!(find(&objects, "RoleBinding", "waypost-watched")["subjects"], subjects);
    let leases = |objects: &[Value], kind: &str, name: &str| {
        let rules = find(objects, kind, name)["rules"].as_array().unwrap().clone();
        rules.into_iter().filter(|rule| rule["resources"] == json!(["leases"])).collect::<Vec<_>>()
    };
    let rule =
        |verbs: Value| json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs});
    let named = |name: &str, verbs: Value| {
        let mut rule = rule(verbs);
        rule["resourceNames"] = json!([name]);
        rule
    };
    let own = |name: &str| vec![rule(json!(["create"])), named(name, json!(["get", "update"]))];
    assert_eq!(leases(&objects, "Role", "waypost-watched"), own("waypost-strategies"));
    let everywhere = Chart::ready().await.rendered(json!({"clusterLeaseNamespace": "shared"})).await.unwrap();
    let there = "waypost-operator-waypost-system";
    assert_eq!(find(&everywhere, "Role", there)["metadata"]["namespace"], "shared");
    assert_eq!(leases(&everywhere, "Role", there), own("waypost-all-strategies"));
    let yields = named("waypost-strategies", json!(["get", "list", "watch", "update"]));
    assert_eq!(leases(&everywhere, "ClusterRole", "waypost-operator"), [yields]);
}

#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_operator_is_spread_and_drained_one_by_one() {
    let chart = Chart::ready().await;
    let objects = chart.rendered(json!({})).await.unwrap();
    let budget = json!({"maxUnavailable": 1, "selector": own_pods()});
    assert_eq!(find(&objects, "PodDisruptionBudget", "waypost-operator")["spec"], budget);
    let pods = |objects: &[Value]| {
        find(objects, "Deployment", "waypost-operator")["spec"]["template"]["spec"].clone()
    };
    let apart = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": own_pods()},
    }]}});
    assert_eq!(pods(&objects)["affinity"], apart);

    let own = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}},
    }]}});
    let spread = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
    let mut others = spread.clone();
    others["labelSelector"] = json!({"matchLabels": {"a": "b"}});
    let values = json!({"affinity": own, "topologySpreadConstraints": [spread, others], "replicas": 1,
        "priorityClassName": "system-cluster-critical", "listen": "127.0.0.1:9000"});
    let objects = chart.rendered(values).await.unwrap();
    let spec = pods(&objects);
    let mut ours = spread.clone();
    ours["labelSelector"] = own_pods();
    assert_eq!((&spec["affinity"], &spec["topologySpreadConstraints"]), (&own, &json!([ours, others])));
    assert_eq!(spec["priorityClassName"], "system-cluster-critical");
    assert_eq!(spec["containers"][0]["ports"], json!([{"name": "http", "containerPort": 9000}]));
    // A single replica may be drained.
    assert!(names(&objects).iter().all(|[kind, ..]| *kind != "PodDisruptionBudget"));
}

#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn who_reads_the_operators_metrics_is_said() {
    let chart = Chart::ready().await;
    let prometheus =
        json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    let policy =
        |ingress: Value| json!({"podSelector": own_pods(), "policyTypes": ["Ingress"], "ingress": ingress});
    let made = async |metrics: &Value| {
        let values = json!({"operatorNetworkPolicy": {"enabled": true, "metrics": metrics}});
        find(&chart.rendered(values).await.unwrap(), "NetworkPolicy", "waypost-operator")["spec"].clone()
    };
    assert_eq!(made(&json!([])).await, policy(json!([])));
    let ports = json!([{"port": 8080, "protocol": "TCP"}]);
    assert_eq!(made(&prometheus).await, policy(json!([{"from": prometheus, "ports": ports}])));

    let values =
        json!({"serviceMonitor": {"enabled": true, "labels": {"release": "prometheus"}, "interval": "30s"}});
    let objects = chart.rendered(values).await.unwrap();
    let monitor = find(&objects, "ServiceMonitor", "waypost-operator");
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    let expected = json!({"selector": own_pods(), "endpoints": [{"port": "http", "honorLabels": true, "interval": "30s"}]});
    assert_eq!(monitor["spec"], expected);
    let service = find(&objects, "Service", "waypost-operator-metrics");
    let ports = json!([{"name": "http", "port": 8080, "targetPort": "http"}]);
    let expected = json!({"clusterIP": "None", "selector": own_pods()["matchLabels"], "ports": ports});
    assert_eq!(service["spec"], expected);
}

/// `helm upgrade --reuse-values` renders the new chart with the values of the old one, in which new values are missing: what
/// the last release was installed with, and with nothing said otherwise, means the defaults.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn with_the_values_of_the_last_release_it_is_as_with_the_defaults() {
    let chart = Chart::ready().await;
    let folder = tempfile::tempdir().unwrap();
    let reused = folder.path().join("waypost");
    let copy = shell::run("cp").arg("-r").arg(paths::checkout().join("charts/waypost")).arg(&reused);
    copy.done().await.unwrap();
    let former = paths::checkout().join("e2e/manifests/chart-0.1.0/values.yaml");
    fs::copy(former, reused.join("values.yaml")).unwrap();
    let rendered = chart.rendered_from(&reused, &json!({})).await.unwrap();
    let mut expected = chart.rendered(json!({})).await.unwrap();
    for object in &mut expected {
        // The operator's own default.
        if let Some(args) =
            object.pointer_mut("/spec/template/spec/containers/0/args").and_then(Value::as_array_mut)
        {
            args.retain(|arg| arg != "--listen=[::]:8080");
        }
    }
    assert_eq!(rendered, expected);
}

/// Off by default; on, each namespace has a policy, and without gateways there is none that would shut out all.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_chart_makes_a_network_policy_for_each_namespace() {
    let chart = Chart::ready().await;
    let rendered = async |values: Value| {
        let objects = chart.rendered(json!({"networkPolicy": values})).await?;
        let policies = objects.into_iter().filter(|object| object["kind"] == "NetworkPolicy");
        Ok::<_, String>(
            policies
                .map(|policy| (policy["metadata"]["namespace"].clone(), policy["spec"].clone()))
                .collect(),
        )
    };
    let gateways =
        json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}]);
    let metrics = json!([{"podSelector": {}}]);
    let off: Vec<(Value, Value)> =
        rendered(json!({"namespaces": ["llm"], "gateways": gateways})).await.unwrap();
    assert_eq!(off, []);
    let given = json!({"enabled": true, "namespaces": ["a", "b"], "gateways": gateways, "metrics": metrics});
    let port = |number: u16| json!({"port": number, "protocol": "TCP"});
    let spec = json!({
        "podSelector": {"matchLabels": {
            "app.kubernetes.io/name": "waypost-picker", "app.kubernetes.io/managed-by": "waypost",
        }},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": gateways, "ports": [port(9002), port(9003)]},
            {"from": metrics, "ports": [port(9090)]},
        ],
    });
    assert_eq!(rendered(given).await.unwrap(), [(json!("a"), spec.clone()), (json!("b"), spec)]);
    for (values, why) in [
        (json!({"enabled": true, "gateways": gateways}), "networkPolicy.namespaces: name"),
        (json!({"enabled": true, "namespaces": ["a"]}), "networkPolicy.gateways: say"),
        (json!({"enabled": true, "gateway": gateways}), "gateway"),
    ] {
        let error = rendered(values).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

/// Off by default; on, it may read ConfigMaps of its own namespace and nothing else.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_chart_makes_body_based_routing() {
    let chart = Chart::ready().await;
    let rendered = async |values: Value| chart.rendered(json!({"bbr": values})).await;
    let ours = |objects: &[Value]| -> Vec<[String; 3]> {
        let names = names(objects).into_iter().filter(|[_, name, _]| *name == "waypost-bbr");
        names.map(|all| all.map(str::to_owned)).collect()
    };
    assert_eq!(ours(&rendered(json!({})).await.unwrap()), Vec::<[String; 3]>::new());

    let gateways =
        json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}]);
    let given = json!({
        "enabled": true, "modelHeader": "X-Model", "fields": {"user": "X-User"}, "args": ["--bbr-adapter=a=b"],
        "networkPolicy": {"enabled": true, "gateways": gateways},
    });
    let objects = rendered(given).await.unwrap();
    let kinds = [
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
    ];
    let expected = kinds.map(|kind| [kind, "waypost-bbr", "waypost-system"].map(str::to_owned));
    assert_eq!(ours(&objects), expected);
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]);
    assert_eq!(find(&objects, "Role", "waypost-bbr")["rules"], rules);
    let pods = json!({
        "app.kubernetes.io/name": "waypost-bbr", "app.kubernetes.io/instance": "waypost",
        "app.kubernetes.io/component": "bbr",
    });
    let port = |name: &str, number: u16| json!({"name": name, "port": number, "targetPort": name, "protocol": "TCP"});
    let mut ext_proc = port("ext-proc", 9004);
    ext_proc["appProtocol"] = json!("http2");
    let service = json!({"selector": pods, "ports": [ext_proc, port("metrics", 9090)]});
    assert_eq!(find(&objects, "Service", "waypost-bbr")["spec"], service);
    let container = &find(&objects, "Deployment", "waypost-bbr")["spec"]["template"]["spec"]["containers"][0];
    let args = json!([
        "--bbr",
        "--bbr-model-header=X-Model",
        "--bbr-base-model-header=X-Gateway-Base-Model-Name",
        "--bbr-field=user:X-User",
        "--bbr-adapter=a=b",
    ]);
    assert_eq!(container["args"], args);
    assert_eq!(container["readinessProbe"]["grpc"], json!({"port": 9005, "service": "readiness"}));
    let port = |number: u16| json!({"port": number, "protocol": "TCP"});
    let ingress = json!([{"from": gateways, "ports": [port(9004), port(9005)]}]);
    assert_eq!(find(&objects, "NetworkPolicy", "waypost-bbr")["spec"]["ingress"], ingress);

    for (values, why) in [
        (json!({"enabled": true, "networkPolicy": {"enabled": true}}), "bbr.networkPolicy.gateways: say"),
        (json!({"modelHeader": "a b"}), "/bbr/modelHeader"),
        (json!({"fields": {"user": ":path"}}), "/bbr/fields/user"),
        (json!({"args": ["bbr"]}), "/bbr/args/0"),
        (json!({"enable": true}), "enable"),
    ] {
        let error = rendered(values).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

/// Off by default; on, it has the labels by which a Prometheus selects it, and its texts are those of Prometheus.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_chart_makes_alerts() {
    let chart = Chart::ready().await;
    let rendered = async |values: Value| {
        let objects = chart.rendered(json!({"prometheusRule": values})).await?;
        Ok::<_, String>(objects.into_iter().find(|object| object["kind"] == "PrometheusRule"))
    };
    assert_eq!(rendered(json!({})).await, Ok(None));
    let given =
        json!({"enabled": true, "labels": {"release": "prometheus"}, "runbooks": "https://docs.example/x"});
    let rule = rendered(given).await.unwrap().unwrap();
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    let first = &rule["spec"]["groups"][0]["rules"][0];
    assert_eq!(first["annotations"]["runbook_url"], "https://docs.example/x#waypostpoolwithoutpicker");
    let summary = first["annotations"]["summary"].as_str().unwrap();
    assert!(summary.contains("{{ $labels.namespace }}/{{ $labels.name }}"), "{summary}");
    assert!(rendered(json!({"enable": true})).await.unwrap_err().contains("enable"));
}

/// Off by default; on, it has the labels by which Grafana's sidecar selects it, and the file as it is.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_chart_makes_a_dashboard() {
    let chart = Chart::ready().await;
    let rendered = async |values: Value| {
        let objects = chart.rendered(json!({"grafanaDashboard": values})).await?;
        Ok::<_, String>(objects.into_iter().find(|object| object["kind"] == "ConfigMap"))
    };
    assert_eq!(rendered(json!({})).await, Ok(None));
    let map = rendered(json!({"enabled": true, "labels": {"folder": "llm"}})).await.unwrap().unwrap();
    let labels = &map["metadata"]["labels"];
    assert_eq!([&labels["grafana_dashboard"], &labels["folder"]], ["1", "llm"]);
    let shown: Value = serde_json::from_str(map["data"]["waypost-pickers.json"].as_str().unwrap()).unwrap();
    let file = fs::read(paths::checkout().join("charts/waypost/dashboards/pickers.json")).unwrap();
    assert_eq!(shown, serde_json::from_slice::<Value>(&file).unwrap());
    assert!(rendered(json!({"enable": true})).await.unwrap_err().contains("enable"));
}

/// By Prometheus' own word: each fires for what it is about, with its text, and none when all is well.
#[tokio::test]
#[ignore = "needs helm and promtool, which `cargo xtask test` brings"]
async fn alerts_fire_for_what_they_are_about() {
    let tests = include_str!("chart/alerts.yml");
    let promtool = promtool::ready(&Progress::stdout()).await.unwrap();
    let values = json!({"prometheusRule": {"enabled": true, "runbooks": "r"}});
    let objects = Chart::ready().await.rendered(values).await.unwrap();
    let rule = objects.into_iter().find(|object| object["kind"] == "PrometheusRule").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.yml"), rule["spec"].to_string()).unwrap();
    fs::write(folder.path().join("tests.yml"), tests).unwrap();
    let promtool = |args: &[&str]| shell::run(&promtool).args(args).current_dir(folder.path());
    promtool(&["check", "rules", "rules.yml"]).done().await.unwrap();
    promtool(&["test", "rules", "tests.yml"]).done().await.unwrap();
    // The file tests every one of them.
    let rules = rule["spec"]["groups"][0]["rules"].as_array().unwrap();
    for alert in rules.iter().map(|rule| rule["alert"].as_str().unwrap()) {
        assert!(tests.contains(&format!("    alertname: {alert}\n    exp_alerts:")), "{alert}");
    }
}
