//! The alteration of objects, and the queue of upgrades.

use crds::UpdatePolicy::{self, Automatic, Manual};
use kube::core::DynamicObject;
use serde_json::Value;

use super::*;
use crate::cache::HeldObject;
use crate::kinds::{Kind, Object};
use crate::lease::Authority;
use crate::strategy::outcome::StepResult;
use crate::strategy::plan::{Alteration, Before};
use crate::strategy::write_error::WriteError;

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

/// Of a step with two writes the second is not made when another operator works there by then, though this process works
/// elsewhere still.
#[tokio::test(start_paused = true)]
async fn a_lease_that_is_lost_in_the_middle_of_a_step_ends_its_writes() {
    let server = Server::default();
    server.delays(Duration::from_secs(2));
    let authority =
        Authority::in_namespaces([("llm", Duration::from_secs(1)), ("else", Duration::from_secs(600))]);
    let executor = server.executor_of(authority, Duration::ZERO);
    let wanted = of_this_release();
    let alteration = Alteration {
        live: Arc::new(live(&wanted)),
        wanted,
        path: "spec.paused".to_owned(),
        before: vec![Before::TakeOut(json!({"spec": {"paused": null}}))],
    };
    let result = crate::strategy::execute::objects::alter(&executor, &alteration).await;
    assert!(matches!(result, StepResult::Failed(WriteError::NotLeading)), "{result:?}");
    assert!(executor.authority().leads());
    assert_eq!(server.calls(), [format!("MERGE {DEPLOYMENT}")]);
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
    foreign.metadata.labels = None;
    foreign.metadata.annotations = None;
    server.holds(DEPLOYMENT, &foreign);
    let outcome = executed(&server.executor(), &world).await;
    let taken = TakenNames::one("Deployment", "qwen-picker", false);
    assert_eq!(outcome.taken, [("qwen-picker".to_owned(), taken)].into());
    assert_eq!(outcome.again, Some(Duration::from_secs(30)));
}

/// The world in which all objects are there that chat wants, each changed by `change`.
fn all_there(change: impl Fn(&mut DynamicObject)) -> Snapshot {
    let mut world = snapshot();
    Arc::make_mut(&mut world.strategy).metadata.finalizers = Some(vec![crate::names::FINALIZER.to_owned()]);
    let objects = validate(&world, &defaults(), |_| Ok([].into())).picker.unwrap();
    world.owned = objects.workloads["qwen-picker"]
        .iter()
        .map(|object| {
            let mut live = live(object);
            live.metadata.uid = Some(format!("uid-{:?}", object.kind));
            change(&mut live);
            (object.kind, Arc::new(live))
        })
        .collect();
    world
}

/// Who has to make room is told at once what is in the way, whether or not the caches have it.
#[tokio::test]
async fn all_that_is_foreign_is_told_at_once() {
    let foreign = |object: &mut DynamicObject| {
        object.metadata.labels = None;
        object.metadata.annotations = None;
        object.metadata.owner_references = None;
    };
    let all = ["ServiceAccount", "Role", "RoleBinding", "Service", "Deployment", "PodDisruptionBudget"];
    let wanted: TakenNames = TakenNames {
        name: "qwen-picker".to_owned(),
        foreign: all.map(str::to_owned).into(),
        going: Vec::new(),
    };
    for known in [0, 1, all.len()] {
        let server = Server::default();
        let mut world = all_there(foreign);
        for (kind, live) in &world.owned {
            server.holds(&path_of(*kind), &**live);
        }
        world.owned.truncate(known);
        let outcome = executed(&server.executor(), &world).await;
        let mut taken = outcome.taken["qwen-picker"].clone();
        taken.foreign.sort_by_key(|kind| all.iter().position(|one| one == kind));
        assert_eq!(taken, wanted, "{known} in the caches");
        let wrote: Vec<_> = server.calls().into_iter().filter(|call| call.ends_with("qwen-picker")).collect();
        assert!(wrote.iter().all(|call| call.starts_with("GET ")), "{wrote:?}");
    }
}

fn path_of(kind: Kind) -> String {
    let resource = kind.resource();
    let group = match resource.group.as_str() {
        "" => "api/v1".to_owned(),
        _ => format!("apis/{}", resource.api_version),
    };
    format!("/{group}/namespaces/llm/{}/qwen-picker", resource.plural)
}

type Change = Box<dyn Fn(&mut DynamicObject)>;

/// What an earlier release, another strategy or a former one of the same name has left is made this strategy's, whole,
/// and no pod is replaced.
#[tokio::test]
async fn what_nobody_owns_is_adopted_whole() {
    let referred = |owner: (&str, &str)| {
        let owner = crate::strategy::testing::former_owner(owner.0, owner.1);
        move |object: &mut DynamicObject| {
            object.metadata.owner_references = Some(vec![serde_json::from_value(owner.clone()).unwrap()]);
        }
    };
    let labelled = |strategy: &'static str, uid: &'static str| {
        move |object: &mut DynamicObject| {
            let labels = object.metadata.labels.as_mut().unwrap();
            labels.insert(crate::names::STRATEGY.to_owned(), strategy.to_owned());
            labels.insert(crate::names::STRATEGY_UID.to_owned(), uid.to_owned());
        }
    };
    let changes: [Change; 4] = [
        Box::new(referred(("chat", "uid-chat"))),
        Box::new(referred(("chat", "uid-gone"))),
        Box::new(labelled("chat", "uid-gone")),
        Box::new(labelled("gone", "uid-gone")),
    ];
    for (number, change) in changes.iter().enumerate() {
        let server = Server::default();
        let world = all_there(change);
        let outcome = executed(&server.executor(), &world).await;
        assert!(outcome.error.is_none() && outcome.taken.is_empty(), "{number}: {outcome:?}");
        let asked = server.asked();
        let applied =
            |kind: Kind| asked.iter().filter(|(call, _)| *call == format!("APPLY {}", path_of(kind))).count();
        let kinds: Vec<_> = world.owned.iter().map(|(kind, _)| (*kind, applied(*kind))).collect();
        assert!(kinds.iter().all(|(_, count)| *count == 1), "{number}: {kinds:?}");
        let deleted = asked.iter().filter(|(call, _)| call.starts_with("DELETE")).count();
        assert_eq!(deleted, 0, "{number}");
        let template = |value: &Value| value["spec"]["template"].clone();
        let before = world.object(Kind::Deployment, "qwen-picker").map(|live| template(&live.data));
        let after = asked
            .iter()
            .find(|(call, _)| *call == format!("APPLY {DEPLOYMENT}"))
            .map(|(_, body)| template(body));
        assert_eq!(after, before, "{number}");
        let taken_out = asked
            .iter()
            .filter(|(call, _)| call.starts_with("MERGE"))
            .map(|(_, body)| body["metadata"].get("ownerReferences").is_some_and(Value::is_null));
        assert_eq!(
            taken_out.filter(|out| *out).count(),
            if number < 2 { kinds.len() } else { 0 },
            "{number}"
        );
    }
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
