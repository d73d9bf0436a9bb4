//! The alteration of objects, and the queue of upgrades.

use crds::UpdatePolicy::{self, Automatic, Manual};
use kube::core::DynamicObject;
use serde_json::Value;

use super::*;
use crate::cache::HeldObject;
use crate::kinds::{Kind, Object};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/llm/deployments/qwen-picker";

/// The object of `kind` that a release with `image` would make.
fn wanted(kind: Kind, image: &str) -> Object {
    let mut defaults = defaults();
    defaults.image = image.to_owned();
    let world = snapshot();
    let objects = validate(&world, &defaults, |_| Ok([].into())).picker.unwrap();
    objects.workloads["qwen-picker"].iter().find(|object| object.kind == kind).unwrap().clone()
}

fn of_this_release() -> Object {
    wanted(Kind::Deployment, &defaults().image)
}

fn of_another_release() -> Object {
    wanted(Kind::Deployment, "waypost/picker:0.0.9")
}

/// As it is in the cluster, at rest.
fn live(wanted: &Object) -> DynamicObject {
    let mut live = wanted.content.clone();
    live.metadata.uid = Some("uid-deployment".to_owned());
    live.metadata.resource_version = Some("7".to_owned());
    live.metadata.generation = Some(1);
    live.data["status"] =
        json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2});
    live
}

/// What was asked about the Deployment when it is `live`.
async fn made(
    server: &Server,
    executor: &Executor,
    policy: UpdatePolicy,
    live: DynamicObject,
) -> (Vec<(String, Value)>, Outcome) {
    let mut world = snapshot();
    Arc::make_mut(&mut world.strategy).spec.picker.update_policy = policy;
    world.owned = vec![(Kind::Deployment, Arc::new(live))];
    let outcome = executed(executor, &world).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let mut asked = server.asked();
    asked.retain(|(call, _)| call.ends_with(DEPLOYMENT));
    (asked, outcome)
}

#[tokio::test]
async fn nothing_is_written_at_rest() {
    let server = Server::default();
    let asked = made(&server, &server.executor(), Automatic, live(&of_this_release())).await.0;
    assert_eq!(asked, []);
}

#[tokio::test]
async fn what_was_added_is_taken_out_of_the_state_that_was_seen() {
    let server = Server::default();
    let wanted = of_this_release();
    let mut live = live(&wanted);
    live.data["spec"]["paused"] = true.into();
    let asked = made(&server, &server.executor(), Automatic, live).await.0;
    let patch = json!({
        "metadata": {"uid": "uid-deployment", "resourceVersion": "7"}, "spec": {"paused": null},
    });
    let applied = serde_json::to_value(&wanted.content).unwrap();
    assert_eq!(asked, [(format!("MERGE {DEPLOYMENT}"), patch), (format!("APPLY {DEPLOYMENT}"), applied)]);
}

/// The cache may be behind what was written last.
#[tokio::test]
async fn what_the_api_server_has_already_is_altered() {
    let server = Server::default();
    let wanted = of_this_release();
    let world = snapshot();
    server.holds(DEPLOYMENT, &live(&wanted));
    let outcome = executed(&server.executor(), &world).await;
    let calls = server.calls();
    assert!(calls.contains(&format!("GET {DEPLOYMENT}")) && !calls.contains(&format!("APPLY {DEPLOYMENT}")));
    assert_eq!(outcome.taken, Default::default());

    let mut foreign = live(&wanted);
    foreign.metadata.owner_references = None;
    server.holds(DEPLOYMENT, &foreign);
    let outcome = executed(&server.executor(), &world).await;
    let taken = "Deployment qwen-picker is not this strategy's; rename or delete it".to_owned();
    assert_eq!(outcome.taken, [("qwen-picker".to_owned(), taken)].into());
    assert_eq!(outcome.again, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn an_upgrade_waits_while_another_deployment_rolls() {
    let server = Server::default();
    let executor = server.executor();
    let (new, old) = (of_this_release(), live(&of_another_release()));
    let mut rolling = old.clone();
    rolling.metadata.uid = Some("uid-other".to_owned());
    rolling.data["status"]["updatedReplicas"] = 1.into();
    let held = |rolling: &DynamicObject| Arc::new(HeldObject::from(rolling));
    executor.cache.owned[&Kind::Deployment].insert("llm", "other-picker", held(&rolling));
    let (asked, outcome) = made(&server, &executor, Automatic, old.clone()).await;
    assert_eq!(
        (asked, outcome.postponed, outcome.again),
        (vec![], vec!["qwen-picker".to_owned()], Some(Duration::from_secs(2)))
    );

    rolling.data["status"]["updatedReplicas"] = 2.into();
    // Another second, in which all are looked at.
    let executor = server.executor();
    executor.cache.owned[&Kind::Deployment].insert("llm", "other-picker", held(&rolling));
    let (asked, outcome) = made(&server, &executor, Automatic, old).await;
    let applied = serde_json::to_value(&new.content).unwrap();
    assert_eq!((asked, outcome.postponed), (vec![(format!("APPLY {DEPLOYMENT}"), applied)], vec![]));
}

#[tokio::test]
async fn a_manual_upgrade_waits_for_ever_and_its_template_is_kept_from_others() {
    let server = Server::default();
    let executor = server.executor();
    let old = of_another_release();
    let mut live = live(&old);
    let (asked, outcome) = made(&server, &executor, Manual, live.clone()).await;
    assert_eq!((asked, outcome.postponed, outcome.again), (vec![], vec!["qwen-picker".to_owned()], None));

    live.data["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 5.into();
    let (asked, outcome) = made(&server, &executor, Manual, live).await;
    let applied = serde_json::to_value(&old.content).unwrap();
    assert_eq!((asked, outcome.postponed.len()), (vec![(format!("APPLY {DEPLOYMENT}"), applied)], 1));
}

#[tokio::test]
async fn a_role_that_was_exchanged_needs_a_new_binding() {
    let server = Server::default();
    let mut world = snapshot();
    let mut live = wanted(Kind::RoleBinding, &defaults().image).content;
    live.data["roleRef"]["name"] = "another".into();
    world.owned = vec![(Kind::RoleBinding, Arc::new(live))];
    executed(&server.executor(), &world).await;
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/llm/rolebindings/qwen-picker";
    let mut calls = server.calls();
    calls.retain(|call| call.ends_with(path));
    assert_eq!(calls, [format!("DELETE {path}"), format!("APPLY {path}")]);
}
