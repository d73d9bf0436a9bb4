//! The kustomize base equals the rendered chart.

use std::fs;

use e2e::tools::Clients;
use e2e::{Progress, paths, shell};
use serde_json::{Value, json};

/// Run with WAYPOST_WRITE=1 to write the base anew.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_kustomize_base_is_the_chart_rendered() {
    let clients = Clients::ready(&Progress::stdout()).await.unwrap();
    let rendered = shell::run(&clients.helm)
        .args(["template", "waypost"])
        .arg(paths::checkout().join("charts/waypost"))
        .args(["--namespace", "waypost-system", "--kube-version", "1.33.0", "--set", "crds.enabled=false"])
        .output()
        .await
        .unwrap();
    let of_helm_alone =
        |line: &&str| !line.starts_with("# Source:") && !line.trim_start().starts_with("helm.sh/chart:");
    let mut base: String = rendered.lines().filter(of_helm_alone).flat_map(|line| [line, "\n"]).collect();
    base = base.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kustomize");

    let path = paths::checkout().join("config/operator/operator.yaml");
    if std::env::var_os("WAYPOST_WRITE").is_some() {
        fs::write(&path, &base).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), base, "run this test with WAYPOST_WRITE=1");
}

/// Off by default; on, each namespace has a policy, and without gateways there is none that would shut out all.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_chart_makes_a_network_policy_for_each_namespace() {
    let clients = Clients::ready(&Progress::stdout()).await.unwrap();
    let rendered = async |values: Value| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), json!({"networkPolicy": values}).to_string()).unwrap();
        let helm = shell::run(&clients.helm)
            .args(["template", "waypost"])
            .arg(paths::checkout().join("charts/waypost"))
            .args(["--kube-version", "1.33.0", "--set", "crds.enabled=false", "--values"])
            .arg(file.path());
        let text = helm.output().await.map_err(|error| format!("{error:#}"))?;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
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

/// Off by default; on, it has the labels by which a Prometheus selects it, and its texts are those of Prometheus.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_chart_makes_alerts() {
    let clients = Clients::ready(&Progress::stdout()).await.unwrap();
    let rendered = async |values: Value| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), json!({"prometheusRule": values}).to_string()).unwrap();
        let helm = shell::run(&clients.helm)
            .args(["template", "waypost"])
            .arg(paths::checkout().join("charts/waypost"))
            .args(["--kube-version", "1.33.0", "--set", "crds.enabled=false", "--values"])
            .arg(file.path());
        let text = helm.output().await.map_err(|error| format!("{error:#}"))?;
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
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
