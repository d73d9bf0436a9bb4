//! The RBAC rights of a picker: what it needs, and nothing else.

use anyhow::Result;
use e2e::test_env::{self, PATIENCE, Strategy, TestEnv};
use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

const CORE: &str = "";
const WAYPOST: &str = "waypost.dev";
const POOLS: &str = "inference.networking.k8s.io";
const POOLS_ALPHA: &str = "inference.networking.x-k8s.io";
const LLM_D: &str = "llm-d.ai";
const RBAC: &str = "rbac.authorization.k8s.io";
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
/// Where it asks: the namespace of its own, another one, or no namespace at all.
const OWN: Option<&str> = None;
const ELSEWHERE: Option<&str> = Some("kube-system");
const EVERYWHERE: Option<&str> = Some("");

/// Verbs, group, resource (with its subresource after a slash), name (empty: all of them) and place.
type Ask = (&'static [&'static str], &'static str, &'static str, &'static str, Option<&'static str>);

const MAY: &[Ask] = &[
    (READ, CORE, "pods", "", OWN),
    (READ, POOLS, "inferencepools", "", OWN),
    (READ, LLM_D, "inferenceobjectives", "", OWN),
    (READ, POOLS_ALPHA, "inferenceobjectives", "", OWN),
    (READ, LLM_D, "inferencemodelrewrites", "", OWN),
    (READ, POOLS_ALPHA, "inferencemodelrewrites", "", OWN),
    (READ, POOLS_ALPHA, "inferencemodels", "", OWN),
    (READ, WAYPOST, "routingstrategies", "chat", OWN),
    (&["patch"], WAYPOST, "routingstrategies/status", "chat", OWN),
    (&["get"], "apps", "controllerrevisions", "chat-routing-0", OWN),
    (&["get"], "apps", "controllerrevisions", "chat-routing-9", OWN),
    (READ, "apps", "deployments", "chat-picker", OWN),
];

const MAY_NOT: &[Ask] = &[
    (READ, CORE, "secrets", "", OWN),
    (&["get"], CORE, "secrets", "chat-picker", OWN),
    (READ, CORE, "secrets", "", ELSEWHERE),
    (READ, CORE, "secrets", "", EVERYWHERE),
    (READ, CORE, "configmaps", "", OWN),
    // Other strategies, and its own beyond its status.
    (READ, WAYPOST, "routingstrategies", "", OWN),
    (READ, WAYPOST, "routingstrategies", "other", OWN),
    (WRITE, WAYPOST, "routingstrategies", "chat", OWN),
    (WRITE, WAYPOST, "routingstrategies", "other", OWN),
    (WRITE, WAYPOST, "routingstrategies/status", "other", OWN),
    (&["update", "create", "delete"], WAYPOST, "routingstrategies/status", "chat", OWN),
    (&["update", "patch"], WAYPOST, "routingstrategies/finalizers", "chat", OWN),
    (READ, WAYPOST, "routingstrategies", "chat", ELSEWHERE),
    (&["patch"], WAYPOST, "routingstrategies/status", "chat", ELSEWHERE),
    (READ, WAYPOST, "routingstrategies", "", EVERYWHERE),
    // The history of others.
    (&["get"], "apps", "controllerrevisions", "other-routing-0", OWN),
    (&["list", "watch"], "apps", "controllerrevisions", "", OWN),
    (WRITE, "apps", "controllerrevisions", "chat-routing-0", OWN),
    // Pools are the operator's.
    (WRITE, POOLS, "inferencepools", "chat", OWN),
    (WRITE, POOLS, "inferencepools/status", "chat", OWN),
    (READ, POOLS, "inferencepools", "", ELSEWHERE),
    (READ, POOLS, "inferencepools", "", EVERYWHERE),
    (READ, POOLS_ALPHA, "inferencepools", "", OWN),
    (WRITE, LLM_D, "inferenceobjectives", "batch", OWN),
    (WRITE, LLM_D, "inferencemodelrewrites", "food", OWN),
    (READ, LLM_D, "inferencemodelrewrites", "", EVERYWHERE),
    (READ, POOLS_ALPHA, "inferencemodels", "", ELSEWHERE),
    (READ, LLM_D, "inferenceobjectives", "", ELSEWHERE),
    (READ, LLM_D, "inferenceobjectives", "", EVERYWHERE),
    // Pods: looking is all.
    (WRITE, CORE, "pods", "", OWN),
    (&["create", "get"], CORE, "pods/exec", "", OWN),
    (&["get"], CORE, "pods/log", "", OWN),
    (&["create"], CORE, "pods/eviction", "", OWN),
    (READ, CORE, "pods", "", ELSEWHERE),
    (READ, CORE, "pods", "", EVERYWHERE),
    // Its own making.
    (WRITE, "apps", "deployments", "chat-picker", OWN),
    (READ, "apps", "deployments", "other-picker", OWN),
    (READ, "apps", "deployments", "", OWN),
    (WRITE, CORE, "services", "chat-picker", OWN),
    (&["create"], CORE, "serviceaccounts/token", "chat-picker", OWN),
    (&["impersonate"], CORE, "serviceaccounts", "default", OWN),
    (&["create", "update", "patch", "escalate", "bind"], RBAC, "roles", "chat-picker", OWN),
    (WRITE, RBAC, "rolebindings", "chat-picker", OWN),
    (WRITE, "coordination.k8s.io", "leases", "", OWN),
    (WRITE, CORE, "events", "", OWN),
    // The cluster.
    (READ, CORE, "nodes", "", EVERYWHERE),
    (READ, CORE, "namespaces", "", EVERYWHERE),
    (&["bind", "escalate", "get"], RBAC, "clusterroles", "cluster-admin", EVERYWHERE),
    (WRITE, RBAC, "clusterrolebindings", "", EVERYWHERE),
    (READ, "apiextensions.k8s.io", "customresourcedefinitions", "", EVERYWHERE),
    (&["create"], "authentication.k8s.io", "tokenreviews", "", EVERYWHERE),
    (&["create"], "authorization.k8s.io", "subjectaccessreviews", "", EVERYWHERE),
    (&["*"], "*", "*", "", EVERYWHERE),
];

const PATHS_NOT: &[&str] = &["/metrics", "/logs/", "/debug/pprof/"];

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn a_picker_may_do_its_work_and_nothing_else() {
    let bar = "a picker's ServiceAccount may read its pods, pool, objectives and strategy and tell its status, and nothing else: no \
               Secrets, no other strategy, no write to a pool, no other namespace, nothing of the cluster";
    // Without a row of its own in the table of promises.
    test_env::run(0, bar, async |env| {
        for name in ["chat", "other"] {
            env.pool(name).await?;
            env.apply(&Strategy::new(name).pool(name).replicas(1)).await?;
        }
        for name in ["chat", "other"] {
            env.strategy_is(name, "Accepted=True", PATIENCE).await?;
        }
        let rights = env.kubectl().api(&format!("{RBAC}/v1"), "RoleBinding", env.namespace()).await?;
        rights.get("chat-picker").await?;
        let (may, may_not) = tokio::try_join!(answers(env, MAY), answers(env, MAY_NOT))?;
        let paths = try_join_all(PATHS_NOT.iter().map(|path| path_answer(env, path))).await?;

        let lacking: Vec<&str> =
            may.iter().filter(|(_, allowed)| !allowed).map(|(ask, _)| ask.as_str()).collect();
        let refused = may_not.iter().chain(&paths);
        let beyond: Vec<&str> =
            refused.clone().filter(|(_, allowed)| *allowed).map(|(ask, _)| ask.as_str()).collect();
        env.measured(format_args!("{} questions answered yes, {} no", may.len(), refused.count()));
        env.check(lacking.is_empty(), format_args!("it may do its work: {lacking:?}"));
        env.check(beyond.is_empty(), format_args!("it may do nothing else: {beyond:?}"));
        Ok(())
    });
}

async fn answers(env: &TestEnv, asks: &[Ask]) -> Result<Vec<(String, bool)>> {
    let each = asks.iter().flat_map(|ask| ask.0.iter().map(move |verb| answer(env, verb, ask)));
    try_join_all(each).await
}

async fn answer(env: &TestEnv, verb: &str, ask: &Ask) -> Result<(String, bool)> {
    let (_, group, resource, name, place) = *ask;
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let namespace = place.unwrap_or(env.namespace());
    let attributes = ResourceAttributes {
        verb: some(verb),
        group: some(group),
        resource: some(resource),
        subresource: some(subresource),
        name: some(name),
        namespace: some(namespace),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec { resource_attributes: Some(attributes), ..picker(env) };
    Ok((format!("{verb} {group}/{resource}/{subresource} {name} in {namespace:?}"), review(env, spec).await?))
}

async fn path_answer(env: &TestEnv, path: &str) -> Result<(String, bool)> {
    let attributes = NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
    let spec = SubjectAccessReviewSpec { non_resource_attributes: Some(attributes), ..picker(env) };
    Ok((format!("get {path}"), review(env, spec).await?))
}

/// A pod of the pool's picker, as the API server knows it.
fn picker(env: &TestEnv) -> SubjectAccessReviewSpec {
    let namespace = env.namespace();
    let groups =
        ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
    SubjectAccessReviewSpec {
        user: Some(format!("system:serviceaccount:{namespace}:chat-picker")),
        groups: Some(groups.map(str::to_owned).into()),
        ..SubjectAccessReviewSpec::default()
    }
}

async fn review(env: &TestEnv, spec: SubjectAccessReviewSpec) -> Result<bool> {
    let api = Api::<SubjectAccessReview>::all(env.kubectl().client().clone());
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    Ok(api.create(&PostParams::default(), &review).await?.status.is_some_and(|status| status.allowed))
}
