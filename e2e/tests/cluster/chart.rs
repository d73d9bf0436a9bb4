//! The chart as it is used: upgraded from the last release with its values, installed for one namespace with Roles alone, and
//! with rights for users of the built-in ClusterRoles.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::shell::run;
use e2e::test_env::{self, PATIENCE, Strategy, TestEnv};
use e2e::tools::Clients;
use e2e::{paths, until};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

/// The release of Helm, in the namespace of the story.
const RELEASE: &str = "waypost-scoped";
const FORMER: &str = "e2e/manifests/chart-0.1.0";
const CHART: &str = "charts/waypost";

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn the_chart_is_upgraded_and_works_with_roles_alone() {
    let bar = "chart: upgraded from the last release with --reuse-values; every value is taken by the API server; one namespace \
               with Roles alone; view and edit may strategies";
    test_env::run(0, bar, async |env| {
        users_of_the_built_in_roles(env).await?;
        upgraded(env).await?;
        env.pool("chat").await?;
        env.servers("chat", 1, &[]).await?;
        env.without_operator(async || roles_alone(env).await).await?;
        env.measured("upgraded; Ready with Roles alone");
        Ok(())
    });
}

/// Runs helm with values on its standard input.
async fn helm(env: &TestEnv, args: &[&str], values: &Value) -> Result<()> {
    let kubeconfig = env.cluster_env().cluster().kubeconfig();
    run(&Clients::ready(env.progress()).await?.helm)
        .args(args)
        .args(["--namespace", env.namespace(), "--values", "-"])
        .current_dir(paths::checkout())
        .env("KUBECONFIG", kubeconfig)
        .input(values.to_string())
        .done()
        .await
}

async fn uninstall(env: &TestEnv) -> Result<()> {
    let kubeconfig = env.cluster_env().cluster().kubeconfig();
    run(&Clients::ready(env.progress()).await?.helm)
        .args(["uninstall", RELEASE, "--wait", "--namespace", env.namespace()])
        .env("KUBECONFIG", kubeconfig)
        .done()
        .await
}

/// An operator that runs nowhere, so that it is in nobody's way: the API server takes what the chart makes, or refuses it.
async fn upgraded(env: &TestEnv) -> Result<()> {
    let alone = json!({"replicas": 0, "crds": {"enabled": false}});
    helm(env, &["install", RELEASE, FORMER], &alone).await.context("the chart of the last release")?;
    helm(env, &["upgrade", RELEASE, CHART, "--reuse-values"], &json!({})).await.context("--reuse-values")?;
    let peer = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    let all = json!({
        "podAnnotations": {"a": "1"}, "podLabels": {"team": "llm"}, "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
        ]}}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"},
        ],
        "priorityClassName": "system-cluster-critical",
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": 268_435_456}},
        "serviceAccount": {"annotations": {"a": "b"}}, "imagePullSecrets": [{"name": "pull"}],
        "operatorNetworkPolicy": {"enabled": true, "metrics": peer},
        "networkPolicy": {"enabled": true, "namespaces": [env.namespace()], "gateways": peer, "metrics": peer},
        "listen": "0.0.0.0:8081",
    });
    helm(env, &["upgrade", RELEASE, CHART, "--reset-then-reuse-values"], &all)
        .await
        .context("every value")?;
    uninstall(env).await
}

/// The operator of this namespace alone makes a pool's pickers, gives the pool back, and is refused nothing.
async fn roles_alone(env: &TestEnv) -> Result<()> {
    let images = env.cluster_env().images();
    let values = json!({
        "watchNamespaces": [env.namespace()], "crds": {"enabled": false}, "replicas": 1,
        "image": {"repository": images.operator.repository(), "tag": images.operator.tag()},
        "pickerImage": {"repository": images.picker.repository(), "tag": images.picker.tag()},
    });
    helm(env, &["install", RELEASE, CHART, "--wait", "--timeout", "60s"], &values).await?;
    let outcome = served(env).await;
    let operator = format!("app.kubernetes.io/instance={RELEASE}");
    for pod in env.kubectl().pods(env.namespace(), &operator).await? {
        let name = pod.metadata.name.unwrap_or_default();
        let log = env.kubectl().logs(env.namespace(), &name, false).await?;
        let refused: Vec<&str> = log.lines().filter(|line| line.contains("forbidden")).collect();
        env.check(refused.is_empty(), format_args!("nothing is forbidden: {refused:?}"));
    }
    uninstall(env).await?;
    outcome
}

async fn served(env: &TestEnv) -> Result<()> {
    let former = reference(env).await?;
    env.apply(&Strategy::new("chat").pool("chat").replicas(1)).await?;
    env.strategy_is("chat", "Ready=True", PATIENCE).await?;
    env.check(reference(env).await?["name"] == "chat-picker", "the pool names its pickers");
    // What takes a right of the cluster is refused by the name of its field.
    let auth = Strategy::new("chat").pool("chat").replicas(1).picker("metrics", json!({"auth": true}));
    env.apply(&auth).await?;
    env.strategy_is("chat", "Accepted=False", PATIENCE).await?;
    let api = env.strategy_api().await?;
    api.delete("chat", &Default::default()).await?;
    until("the strategy to go", PATIENCE, async || {
        ensure!(api.get_opt("chat").await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    let now = reference(env).await?;
    env.check(now == former, format_args!("the pool has its former picker: {now}"));
    Ok(())
}

async fn reference(env: &TestEnv) -> Result<Value> {
    let pools = env.kubectl().api("inference.networking.k8s.io/v1", "InferencePool", env.namespace()).await?;
    Ok(pools.get("chat").await?.data["spec"]["endpointPickerRef"].clone())
}

/// Whoever is bound to view, edit or admin in a namespace may read or write its strategies, and no others.
async fn users_of_the_built_in_roles(env: &TestEnv) -> Result<()> {
    for role in ["view", "edit", "admin"] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("{role}er")}],
        });
        env.kubectl().apply_object(env.namespace(), binding).await?;
    }
    let expected = [("view", true, false), ("edit", true, true), ("admin", true, true)];
    until("the rights to be there", Duration::from_secs(20), async || {
        for (role, reads, writes) in expected {
            let user = format!("{role}er");
            let may = [
                may(env, &user, "list", env.namespace()).await?,
                may(env, &user, "patch", env.namespace()).await?,
            ];
            ensure!(may == [reads, writes], "{role} may list and patch strategies: {may:?}");
            ensure!(!may_elsewhere(env, &user).await?, "{role} may list strategies of another namespace");
        }
        Ok(())
    })
    .await
}

async fn may_elsewhere(env: &TestEnv, user: &str) -> Result<bool> {
    may(env, user, "list", "kube-system").await
}

async fn may(env: &TestEnv, user: &str, verb: &str, namespace: &str) -> Result<bool> {
    let resource_attributes = Some(ResourceAttributes {
        group: Some("waypost.dev".to_owned()),
        resource: Some("routingstrategies".to_owned()),
        verb: Some(verb.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    });
    let spec = SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        resource_attributes,
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews = Api::<SubjectAccessReview>::all(env.kubectl().client().clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
