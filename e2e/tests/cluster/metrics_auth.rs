//! Authorisation of requests for the metrics of pickers.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Client;
use e2e::test_env::{self, PATIENCE, Picker, Strategy, TestEnv};
use e2e::until;
use http::Request;
use http_body_util::Full;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

/// ServiceAccounts that ask: one that may, one that may not.
const ACCOUNTS: [&str; 2] = ["reader", "stranger"];
const PAGES: [&str; 3] = ["/metrics", "/debug/strategy", "/debug/endpoints"];
const RBAC: &str = "rbac.authorization.k8s.io";

fn strategy(auth: bool) -> Strategy {
    Strategy::new("chat").pool("chat").replicas(1).picker("metrics", json!({"auth": auth}))
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn metrics_are_for_those_who_may_read_them() {
    let bar = "spec.picker.metrics.auth: metrics and debug pages are for bearers whom the API server allows; its \
               ClusterRoleBinding goes when it is turned off, and with the strategy";
    // Without a row of its own in the table of promises.
    test_env::run(0, bar, async |env| {
        let told = told(env).await;
        // Of the cluster, and so not the env's to take away.
        env.kubectl().delete("", &may_read(env).to_string()).await?;
        told
    });
}

async fn told(env: &TestEnv) -> Result<()> {
    env.pool("chat").await?;
    env.apply(&strategy(true)).await?;
    env.strategy_is("chat", "Ready=True", PATIENCE).await?;
    let picker = env.pickers("chat", 1).await?.remove(0);
    env.kubectl().apply_object("", may_read(env)).await?;
    let [reader, stranger] = [token(env, ACCOUNTS[0]).await?, token(env, ACCOUNTS[1]).await?];

    let mut seen = Vec::new();
    for page in PAGES {
        let asked = [None, Some("nonsense"), Some(stranger.as_str()), Some(reader.as_str())];
        let mut statuses = Vec::new();
        for bearer in asked {
            statuses.push(status(&picker, page, bearer).await?);
        }
        seen.push(statuses);
    }
    // The built-in role is for /metrics; the other pages need a right of their own.
    let expected = [[401, 401, 403, 200], [401, 401, 403, 403], [401, 401, 403, 403]];
    env.check(
        seen == expected,
        format_args!("nobody, nonsense, stranger and reader get {expected:?}: {seen:?}"),
    );
    let open = [status(&picker, "/healthz", None).await?, status(&picker, "/readyz", None).await?];
    env.check(open == [200, 200], format_args!("health is for all: {open:?}"));

    let bound = bindings(env).await?;
    env.check(bound == 1, format_args!("one ClusterRoleBinding is there: {bound}"));
    env.apply(&strategy(false)).await?;
    gone(env, "turning it off").await?;
    env.strategy_is("chat", "Ready=True", PATIENCE).await?;
    let picker = until("the picker without it", PATIENCE, || async {
        let picker = env.pickers("chat", 1).await?.remove(0);
        ensure!(status(&picker, "/metrics", None).await? == 200, "it still asks who one is");
        Ok(picker)
    });
    picker.await?;

    env.apply(&strategy(true)).await?;
    until("the binding to be there again", PATIENCE, || async {
        ensure!(bindings(env).await? == 1, "it is not");
        Ok(())
    })
    .await?;
    let strategies = env.strategy_api().await?;
    strategies.delete("chat", &DeleteParams::default()).await?;
    gone(env, "the deletion of the strategy").await?;
    until("the end of the strategy", PATIENCE, || async {
        ensure!(strategies.get_opt("chat").await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    env.measured(format_args!("{seen:?} for nobody, nonsense, stranger, reader; no binding is left over"));
    Ok(())
}

/// Lets the reader see what monitoring sees of the cluster's own components.
fn may_read(env: &TestEnv) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": {"name": format!("{}-reader", env.namespace())},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:monitoring"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNTS[0], "namespace": env.namespace()}],
    })
}

/// Makes a ServiceAccount and a token of it.
async fn token(env: &TestEnv, account: &str) -> Result<String> {
    let api = Api::<ServiceAccount>::namespaced(env.kubectl().client().clone(), env.namespace());
    let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}});
    env.kubectl().apply_object(env.namespace(), object).await?;
    let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let made = api.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(made.status.context("a token")?.token)
}

async fn status(picker: &Picker, page: &str, bearer: Option<&str>) -> Result<u16> {
    let mut request = Request::get(format!("http://{}{page}", SocketAddr::new(picker.address, 9090)));
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let response = Client::new().send(request.body(Full::default())?).await?;
    Ok(response.status().as_u16())
}

/// How many ClusterRoleBindings are there for strategies of the namespace.
async fn bindings(env: &TestEnv) -> Result<usize> {
    let all =
        Api::<ClusterRoleBinding>::all(env.kubectl().client().clone()).list(&Default::default()).await?;
    let of_here = |binding: &&ClusterRoleBinding| {
        binding.role_ref.name == "system:auth-delegator"
            && binding.subjects.iter().flatten().any(|s| s.namespace.as_deref() == Some(env.namespace()))
    };
    Ok(all.iter().filter(of_here).count())
}

async fn gone(env: &TestEnv, after: &str) -> Result<()> {
    until(
        format_args!("the end of the ClusterRoleBinding after {after}"),
        Duration::from_secs(60),
        || async {
            let left = bindings(env).await?;
            ensure!(left == 0, "{left} are left");
            Ok(())
        },
    )
    .await
}
