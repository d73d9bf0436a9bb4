//! The ClusterRoleBinding of the pickers, and the finalizer that is there with it.

use kube::core::DynamicObject;

use super::*;
use crate::kinds::Kind;
use crate::names::FINALIZER;
use crate::strategy::testing::rights;

const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/waypost:llm:chat";

fn world(auth: bool, finalizer: bool, live: Option<DynamicObject>) -> Snapshot {
    let mut snapshot = snapshot();
    let strategy = Arc::make_mut(&mut snapshot.strategy);
    strategy.spec.picker.metrics.auth = auth;
    strategy.metadata.finalizers = finalizer.then(|| vec![FINALIZER.to_owned()]);
    snapshot.owned.extend(live.map(|live| (Kind::ClusterRoleBinding, Arc::new(live))));
    snapshot
}

/// A server with the strategy of `world`, and no pool that is held.
fn server(world: &Snapshot) -> Server {
    let server = Server::default();
    server.holds(STRATEGY, &*world.strategy);
    for group in crds::PoolGroup::ALL {
        let path = format!("/apis/{}/namespaces/llm/inferencepools", group.api_version());
        let list = json!({"apiVersion": group.api_version(), "kind": "InferencePoolList", "metadata": {}});
        let mut list = list;
        list["items"] = json!([]);
        server.holds(&path, &list);
    }
    server
}

/// What was asked about the ClusterRoleBinding and the strategy.
async fn asked(server: &Server, world: &Snapshot) -> (Vec<String>, Outcome) {
    let outcome = executed(&server.executor(), world).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let mut calls = server.calls();
    calls.retain(|call| call.ends_with(BINDING) || call.ends_with(STRATEGY));
    (calls, outcome)
}

async fn applied(world: &Snapshot) -> (Vec<String>, Outcome) {
    asked(&server(world), world).await
}

#[tokio::test]
async fn the_promise_comes_before_the_binding() {
    let calls = applied(&world(true, false, None)).await.0;
    let apply = |path: &str| format!("APPLY {path}");
    assert_eq!(calls, [apply(STRATEGY), format!("GET {BINDING}"), apply(BINDING)]);
}

#[tokio::test]
async fn a_binding_that_is_as_wanted_is_not_written() {
    assert_eq!(applied(&world(true, true, Some(rights("chat")))).await.0, [""; 0]);
    assert_eq!(applied(&world(false, false, None)).await.0, [""; 0]);
}

#[tokio::test]
async fn turned_off_it_goes() {
    let calls = applied(&world(false, false, Some(rights("chat")))).await.0;
    assert_eq!(calls, [format!("DELETE {BINDING}")]);
}

#[tokio::test]
async fn without_pools_it_goes_unless_they_are_not_known() {
    let mut snapshot = world(true, true, Some(rights("chat")));
    snapshot.pools.clear();
    assert_eq!(applied(&snapshot).await.0, [format!("DELETE {BINDING}")]);
    snapshot.unserved = vec![crds::PoolGroup::V1];
    assert_eq!(applied(&snapshot).await.0, [""; 0]);
}

#[tokio::test]
async fn one_of_somebody_else_is_left() {
    let (calls, outcome) = applied(&world(true, true, Some(rights("other")))).await;
    assert_eq!(calls, [""; 0]);
    let taken = "ClusterRoleBinding waypost:llm:chat is not this strategy's; rename or delete it";
    assert_eq!(outcome.taken.values().collect::<Vec<_>>(), [taken]);
    assert_eq!(applied(&world(false, false, Some(rights("other")))).await.0, [""; 0]);
}

/// Also when the cache has not seen it yet.
#[tokio::test]
async fn it_goes_before_the_finalizer() {
    let snapshot = world(false, true, None);
    let server = server(&snapshot);
    server.holds(BINDING, &rights("chat"));
    let calls = asked(&server, &snapshot).await.0;
    assert_eq!(calls, [format!("GET {BINDING}"), format!("DELETE {BINDING}"), format!("MERGE {STRATEGY}")]);
}

#[tokio::test]
async fn the_finalizer_stays_with_the_binding() {
    assert_eq!(applied(&world(true, true, Some(rights("chat")))).await.0, [""; 0]);
    let calls = applied(&world(false, true, None)).await.0;
    assert_eq!(calls, [format!("GET {BINDING}"), format!("MERGE {STRATEGY}")]);
}

/// A pool of which the caches do not know is held still.
#[tokio::test]
async fn the_finalizer_stays_while_a_pool_is_held() {
    let snapshot = world(false, true, None);
    let server = server(&snapshot);
    let record = crate::strategy::record::Record { strategy: "chat".to_owned(), ..Default::default() };
    let group = crds::PoolGroup::V1;
    let held = json!({
        "apiVersion": group.api_version(), "kind": "InferencePoolList", "metadata": {},
        "items": [{
            "metadata": {"name": "phi", "namespace": "llm",
                "annotations": {crate::strategy::record::ANNOTATION: record.write().unwrap()}},
            "spec": {"selector": {"matchLabels": {}}, "targetPorts": [{"number": 8000}]},
        }],
    });
    server.holds(&format!("/apis/{}/namespaces/llm/inferencepools", group.api_version()), &held);
    let (calls, outcome) = asked(&server, &snapshot).await;
    assert_eq!(calls, [""; 0]);
    assert_eq!(outcome.still_held.as_deref(), Some("phi"));
    assert_eq!(outcome.again, Some(Duration::from_secs(5)));
}
