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
    assert_eq!(applied(&world(false, true, None)).await.0, [""; 0]);
}

#[tokio::test]
async fn turned_off_it_goes() {
    let calls = applied(&world(false, true, Some(rights("chat")))).await.0;
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
    assert_eq!(outcome.taken.values().map(ToString::to_string).collect::<Vec<_>>(), [taken]);
    assert_eq!(applied(&world(false, true, Some(rights("other")))).await.0, [""; 0]);
}

/// What was asked at the end of the strategy.
async fn ended(server: &Server, executor: &Executor, world: &Snapshot) -> (Vec<String>, Outcome) {
    let outcome = deleted(executor, world).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let calls = server.calls().into_iter().filter(|call| !call.ends_with("inferencepools")).collect();
    (calls, outcome)
}

/// Also when the cache has not seen it yet.
#[tokio::test]
async fn it_goes_before_the_finalizer() {
    let snapshot = world(true, true, None);
    let server = server(&snapshot);
    server.holds(BINDING, &rights("chat"));
    let calls = ended(&server, &server.executor(), &snapshot).await.0;
    assert_eq!(calls, [format!("GET {BINDING}"), format!("DELETE {BINDING}"), format!("MERGE {STRATEGY}")]);
}

/// So does all else, also what was made a moment ago.
#[tokio::test]
async fn all_goes_before_the_finalizer() {
    let mut snapshot = world(false, true, None);
    let objects = validate(&snapshot, &defaults(), |_| Ok([].into())).picker.unwrap();
    let service =
        objects.workloads["qwen-picker"].iter().find(|object| object.kind == Kind::Service).unwrap();
    let path = "/api/v1/namespaces/llm/services/qwen-picker";
    snapshot.remembered.made = [(Kind::Service, "qwen-picker".to_owned())].into();
    let server = server(&snapshot);
    server.holds(path, &service.content);
    let end = [
        format!("GET {path}"),
        format!("GET {BINDING}"),
        format!("DELETE {path}"),
        format!("MERGE {STRATEGY}"),
    ];
    assert_eq!(ended(&server, &server.executor(), &snapshot).await.0, end);

    snapshot.remembered.made.clear();
    snapshot.owned = vec![(Kind::Service, Arc::new(service.content.clone()))];
    let end = [format!("DELETE {path}"), format!("GET {BINDING}"), format!("MERGE {STRATEGY}")];
    assert_eq!(ended(&server, &server.executor(), &snapshot).await.0, end);
    // One that can't be deleted keeps it.
    server.refuses(&format!("DELETE {path}"));
    let outcome = deleted(&server.executor(), &snapshot).await;
    assert!(outcome.error.is_some() && !server.calls().contains(&format!("MERGE {STRATEGY}")));
    // What is to stay does.
    snapshot.orphans = true;
    assert_eq!(ended(&server, &server.executor(), &snapshot).await.0, [format!("MERGE {STRATEGY}")]);
}

/// Of many pools too, a second at a time.
#[tokio::test(start_paused = true)]
async fn many_objects_are_deleted_a_second_at_a_time() {
    let mut snapshot = world(false, true, None);
    let spec = json!({"pools": [{"selector": {}}]});
    Arc::make_mut(&mut snapshot.strategy).spec = strategy(spec).spec;
    snapshot.pools = (0..40).map(|number| Arc::new(pool(&format!("pool-{number:02}"), "old-epp"))).collect();
    snapshot.owned = workload(&snapshot);
    snapshot.pools.clear();
    let server = server(&snapshot);
    server.delays(Duration::from_millis(50));
    let began = tokio::time::Instant::now();
    let (calls, outcome) = ended(&server, &server.executor(), &snapshot).await;
    assert!((1000..1500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let deletions = calls.iter().filter(|call| call.starts_with("DELETE")).count();
    assert!((100..200).contains(&deletions), "{deletions} of {}", snapshot.owned.len());
    assert!(!calls.contains(&format!("MERGE {STRATEGY}")), "{calls:?}");
    assert_eq!(outcome.again, Some(Duration::ZERO));
}

/// Another strategy has taken what passes to it, and the cache has it as it was.
#[tokio::test]
async fn what_has_passed_on_is_not_deleted() {
    let mut snapshot = world(false, true, None);
    let objects = validate(&snapshot, &defaults(), |_| Ok([].into())).picker.unwrap();
    let service =
        objects.workloads["qwen-picker"].iter().find(|object| object.kind == Kind::Service).unwrap();
    snapshot.owned = vec![(Kind::Service, Arc::new(service.content.clone()))];
    let mut next = strategy(json!({"pools": [{"name": "qwen"}]}));
    next.metadata.name = Some("talk".to_owned());
    next.metadata.uid = Some("uid-talk".to_owned());
    snapshot.others = vec![Arc::new(next)];
    let server = server(&snapshot);
    let path = "/api/v1/namespaces/llm/services/qwen-picker";
    let mut passed = service.content.clone();
    let labels = passed.metadata.labels.as_mut().unwrap();
    labels.insert(crate::names::STRATEGY.to_owned(), "talk".to_owned());
    labels.insert(crate::names::STRATEGY_UID.to_owned(), "uid-talk".to_owned());
    server.holds(path, &passed);
    let end = [format!("GET {path}"), format!("GET {BINDING}"), format!("MERGE {STRATEGY}")];
    assert_eq!(ended(&server, &server.executor(), &snapshot).await.0, end);
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
    let (calls, outcome) = ended(&server, &server.executor(), &snapshot).await;
    assert_eq!(calls, [""; 0]);
    assert_eq!(outcome.still_held.as_deref(), Some("phi"));
    assert_eq!(outcome.again, Some(Duration::from_secs(5)));
}
