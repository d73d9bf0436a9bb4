use std::sync::Arc;

use crds::UpdatePolicy::{self, Automatic, Manual};
use serde_json::{Value, json};

use super::super::testing::Server;
use super::*;
use crate::strategy::build::build;
use crate::strategy::validate::testing::snapshot;
use crate::strategy::validate::validate;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/llm/deployments/qwen-picker";

/// The Deployment that this release would make.
fn wanted(context: &Context, snapshot: &Snapshot) -> Object {
    let built = build(snapshot, &validate(snapshot, |_| Ok(())), &context.defaults).unwrap();
    built["qwen-picker"].iter().find(|object| object.kind == Kind::Deployment).unwrap().clone()
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

/// What was asked of `server` to make `live` as `wanted`.
async fn made(
    context: &Context,
    server: &Server,
    policy: UpdatePolicy,
    live: DynamicObject,
    wanted: &Object,
) -> (Vec<(String, Value)>, Done) {
    let (mut snapshot, mut done) = (snapshot(), Done::default());
    Arc::make_mut(&mut snapshot.strategy).spec.picker.update_policy = policy;
    snapshot.owned = vec![(Kind::Deployment, Arc::new(live))];
    all(context, &snapshot, "qwen-picker", std::slice::from_ref(wanted), &mut done).await;
    assert!(done.error.is_none(), "{:?}", done.error);
    (server.asked(), done)
}

#[tokio::test]
async fn nothing_is_written_at_rest() {
    let server = Server::default();
    let context = server.context();
    let wanted = wanted(&context, &snapshot());
    assert_eq!(made(&context, &server, Automatic, live(&wanted), &wanted).await.0, []);
}

#[tokio::test]
async fn what_was_added_is_taken_out_of_the_state_that_was_seen() {
    let server = Server::default();
    let context = server.context();
    let wanted = wanted(&context, &snapshot());
    let mut live = live(&wanted);
    live.data["spec"]["paused"] = true.into();
    let asked = made(&context, &server, Automatic, live, &wanted).await.0;
    let patch = json!({
        "metadata": {"uid": "uid-deployment", "resourceVersion": "7"}, "spec": {"paused": null},
    });
    let applied = serde_json::to_value(&wanted.content).unwrap();
    assert_eq!(asked, [(format!("MERGE {DEPLOYMENT}"), patch), (format!("APPLY {DEPLOYMENT}"), applied)]);
}

/// What another release of the operator left.
fn of_another_release(context: &Context) -> Object {
    let mut other = context.defaults.clone();
    other.image = "waypost/picker:0.0.9".to_owned();
    let snapshot = snapshot();
    let built = build(&snapshot, &validate(&snapshot, |_| Ok(())), &other).unwrap();
    built["qwen-picker"].iter().find(|object| object.kind == Kind::Deployment).unwrap().clone()
}

#[tokio::test]
async fn an_upgrade_waits_while_another_deployment_rolls() {
    let server = Server::default();
    let context = server.context();
    let (new, old) = (wanted(&context, &snapshot()), live(&of_another_release(&context)));
    let mut rolling = old.clone();
    rolling.metadata.uid = Some("uid-other".to_owned());
    rolling.data["status"]["updatedReplicas"] = 1.into();
    let deployments = &context.cache.owned[&Kind::Deployment];
    deployments.insert("llm", "other-picker", Arc::new(rolling.clone()));
    let (asked, done) = made(&context, &server, Automatic, old.clone(), &new).await;
    assert_eq!(
        (asked, done.postponed, done.again),
        (vec![], vec!["qwen-picker".to_owned()], Some(TURN_AGAIN))
    );

    rolling.data["status"]["updatedReplicas"] = 2.into();
    deployments.insert("llm", "other-picker", Arc::new(rolling));
    let (asked, done) = made(&context, &server, Automatic, old, &new).await;
    let applied = serde_json::to_value(&new.content).unwrap();
    assert_eq!((asked, done.postponed), (vec![(format!("APPLY {DEPLOYMENT}"), applied)], vec![]));
}

#[tokio::test]
async fn a_manual_upgrade_waits_for_ever_and_its_template_is_kept_from_others() {
    let server = Server::default();
    let context = server.context();
    let (new, old) = (wanted(&context, &snapshot()), of_another_release(&context));
    let mut live = live(&old);
    let (asked, done) = made(&context, &server, Manual, live.clone(), &new).await;
    assert_eq!((asked, done.postponed, done.again), (vec![], vec!["qwen-picker".to_owned()], None));

    live.data["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 5.into();
    let (asked, done) = made(&context, &server, Manual, live, &new).await;
    let applied = serde_json::to_value(&old.content).unwrap();
    assert_eq!((asked, done.postponed.len()), (vec![(format!("APPLY {DEPLOYMENT}"), applied)], 1));
}

#[tokio::test]
async fn monitors_are_wanted_where_there_can_be_any() {
    let context = Server::default().context();
    let mut snapshot = snapshot();
    Arc::make_mut(&mut snapshot.strategy).spec.picker.metrics.service_monitor = true;
    for monitors in [true, false] {
        snapshot.monitors = monitors;
        let built = build(&snapshot, &validate(&snapshot, |_| Ok(())), &context.defaults).unwrap();
        let wanted = built["qwen-picker"].iter().any(|object| object.kind == Kind::ServiceMonitor);
        assert_eq!(wanted, monitors);
    }
}

#[tokio::test]
async fn a_role_that_was_exchanged_needs_a_new_binding() {
    let server = Server::default();
    let context = server.context();
    let mut snapshot = snapshot();
    let built = build(&snapshot, &validate(&snapshot, |_| Ok(())), &context.defaults).unwrap();
    let wanted = built["qwen-picker"].iter().find(|object| object.kind == Kind::RoleBinding).unwrap();
    let mut live = wanted.content.clone();
    live.data["roleRef"]["name"] = "another".into();
    snapshot.owned = vec![(Kind::RoleBinding, Arc::new(live))];
    all(&context, &snapshot, "qwen-picker", std::slice::from_ref(wanted), &mut Done::default()).await;
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/llm/rolebindings/qwen-picker";
    assert_eq!(server.calls(), [format!("DELETE {path}"), format!("APPLY {path}")]);
}
