use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;

use super::super::bind;
use super::super::testing::Server;
use super::*;
use crate::strategy::dereference::dereference;
use crate::strategy::release;
use crate::strategy::validate::testing::snapshot;
use crate::strategy::validate::validate;

const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/waypost:llm:chat";
const STRATEGY: &str = "/apis/waypost.dev/v1alpha1/namespaces/llm/routingstrategies/chat";

fn world(auth: bool, finalizer: bool, live: Option<DynamicObject>) -> Snapshot {
    let mut snapshot = snapshot();
    let strategy = Arc::make_mut(&mut snapshot.strategy);
    strategy.spec.picker.metrics.auth = auth;
    strategy.metadata.finalizers = finalizer.then(|| vec![FINALIZER.to_owned()]);
    snapshot.owned.extend(live.map(|live| (Kind::ClusterRoleBinding, Arc::new(live))));
    snapshot
}

fn binding(strategy: &str) -> DynamicObject {
    let mut object = crate::build::auth::binding("llm", strategy, "0.1.0", &["qwen-picker"]).unwrap();
    object.content.metadata.name = Some("waypost:llm:chat".to_owned());
    drift::seal(&mut object.content);
    object.content
}

async fn applied(snapshot: &Snapshot) -> (Vec<String>, Done) {
    let (server, mut done) = (Server::default(), Done::default());
    server.holds(STRATEGY, &*snapshot.strategy);
    let valid = validate(snapshot, |_| Ok(()));
    apply(&server.context(), snapshot, &valid, &mut done).await;
    assert!(done.error.is_none(), "{:?}", done.error);
    (server.calls(), done)
}

#[tokio::test]
async fn the_promise_comes_before_the_binding() {
    let calls = applied(&world(true, false, None)).await.0;
    let apply = |path: &str| format!("APPLY {path}");
    assert_eq!(calls, [apply(STRATEGY), format!("GET {BINDING}"), apply(BINDING)]);
}

#[tokio::test]
async fn a_binding_that_is_as_wanted_is_not_written() {
    assert_eq!(applied(&world(true, true, Some(binding("chat")))).await.0, [""; 0]);
    assert_eq!(applied(&world(false, true, None)).await.0, [""; 0]);
}

#[tokio::test]
async fn turned_off_it_goes() {
    let calls = applied(&world(false, true, Some(binding("chat")))).await.0;
    assert_eq!(calls, [format!("DELETE {BINDING}")]);
}

#[tokio::test]
async fn without_pools_it_goes_unless_they_are_not_known() {
    let mut snapshot = world(true, true, Some(binding("chat")));
    snapshot.pools.clear();
    assert_eq!(applied(&snapshot).await.0, [format!("DELETE {BINDING}")]);
    snapshot.unserved = vec![crds::PoolGroup::V1];
    assert_eq!(applied(&snapshot).await.0, [""; 0]);
}

#[tokio::test]
async fn one_of_somebody_else_is_left() {
    let (calls, done) = applied(&world(true, true, Some(binding("other")))).await;
    assert_eq!(calls, [""; 0]);
    let taken = "ClusterRoleBinding waypost:llm:chat is not this strategy's; rename or delete it";
    assert_eq!(done.taken.values().collect::<Vec<_>>(), [taken]);
    assert_eq!(applied(&world(false, true, Some(binding("other")))).await.0, [""; 0]);
}

/// Also when the cache has not seen it yet.
#[tokio::test]
async fn it_goes_before_the_finalizer() {
    let server = Server::default();
    let snapshot = world(false, true, None);
    server.holds(STRATEGY, &*snapshot.strategy);
    server.holds(BINDING, &binding("chat"));
    assert_eq!(release::finish(&server.context(), &snapshot).await.unwrap(), None);
    assert_eq!(
        server.calls(),
        [format!("GET {BINDING}"), format!("DELETE {BINDING}"), format!("MERGE {STRATEGY}")]
    );
}

#[tokio::test]
async fn the_finalizer_stays_with_the_binding() {
    let server = Server::default();
    for (auth, wanted) in [(true, 0), (false, 2)] {
        let snapshot = world(auth, true, None);
        server.holds(STRATEGY, &*snapshot.strategy);
        let valid = validate(&snapshot, |_| Ok(()));
        bind::all(&server.context(), &snapshot, &valid, Timestamp::now(), &mut Done::default()).await;
        assert_eq!(server.calls().len(), wanted, "auth: {auth}");
    }
}

#[tokio::test]
async fn it_is_found_outside_of_the_namespace() {
    let context = Server::default().context();
    let index = &context.cache.owned[&Kind::ClusterRoleBinding];
    index.insert("", "waypost:llm:chat", Arc::new(binding("chat")));
    index.insert("", "waypost:llm:other", Arc::new(binding("other")));
    let snapshot = dereference(world(true, true, None).strategy, &context.cache, &context.memory);
    let found: Vec<_> = snapshot.owned.iter().map(|(kind, live)| (*kind, snapshot.owns(live))).collect();
    assert_eq!(found, [(Kind::ClusterRoleBinding, true)]);
}
