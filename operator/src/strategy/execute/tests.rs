//! Plans, executed against an API server of a few lines.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::json;

use super::testing::Server;
use super::*;
use crate::cache::Cache;
use crate::kinds::Kind;
use crate::strategy::binding::BindingState;
use crate::strategy::dereference::dereference;
use crate::strategy::memory::Memory;
use crate::strategy::outcome::Outcome;
use crate::strategy::plan::{Action, Report, plan, plan_deletion};
use crate::strategy::pod_warning::PodWarning;
use crate::strategy::reach::Attempt;
use crate::strategy::silent_state::SilentState;
use crate::strategy::taken::TakenNames;
use crate::strategy::testing::{defaults, pool, snapshot, strategy};
use crate::strategy::validate::validate;

mod objects;
mod rights;

const STRATEGY: &str = "/apis/waypost.dev/v1alpha1/namespaces/llm/routingstrategies/chat";

/// What the plan for `world` comes to.
async fn executed(executor: &Executor, world: &Snapshot) -> Outcome {
    let plan = plan(world, &validate(world, &defaults(), |_| Ok([].into())), Timestamp::UNIX_EPOCH);
    Outcome::of(&plan, execute(executor, world, &plan).await)
}

/// What the end of the strategy of `world` comes to.
async fn deleted(executor: &Executor, world: &Snapshot) -> Outcome {
    let plan = plan_deletion(world);
    Outcome::of(&plan, execute(executor, world, &plan).await)
}

/// A strategy with two pools, for which nothing was made.
fn two_pools() -> Snapshot {
    let mut world = snapshot();
    let spec = json!({"pools": [{"selector": {}}], "picker": {"replicas": 1}});
    world.strategy = Arc::new(strategy(spec));
    world.pools.push(Arc::new(pool("llama", "old-epp")));
    world
}

fn made(workload: &str, kinds: &[&str]) -> Vec<String> {
    let path = |kind: &&str| match *kind {
        "deployments" => format!("/apis/apps/v1/namespaces/llm/deployments/{workload}"),
        "roles" | "rolebindings" => {
            format!("/apis/rbac.authorization.k8s.io/v1/namespaces/llm/{kind}/{workload}")
        }
        kind => format!("/api/v1/namespaces/llm/{kind}/{workload}"),
    };
    kinds.iter().map(|kind| format!("APPLY {}", path(kind))).collect()
}

const ALL: [&str; 5] = ["serviceaccounts", "roles", "rolebindings", "services", "deployments"];

/// The objects of one pool come one after the other, each pool's beside the other's.
#[tokio::test(start_paused = true)]
async fn independent_steps_run_at_the_same_time() {
    let server = Server::default();
    server.delays(Duration::from_millis(50));
    let began = tokio::time::Instant::now();
    let outcome = executed(&server.executor(), &two_pools()).await;
    assert!(outcome.kept && outcome.error.is_none());
    // The finalizer, and a read and a write for the history, and for each of five objects.
    assert_eq!(began.elapsed().as_millis(), (1 + 2 + 10) * 50);
    let calls = server.calls();
    let of = |workload: &str| -> Vec<String> {
        calls.iter().filter(|call| call.starts_with("APPLY") && call.ends_with(workload)).cloned().collect()
    };
    assert_eq!(of("/llama-picker"), made("llama-picker", &ALL));
    assert_eq!(of("/qwen-picker"), made("qwen-picker", &ALL));
    let kept = "APPLY /apis/apps/v1/namespaces/llm/controllerrevisions/chat-routing-0";
    let first: Vec<&str> =
        calls.iter().map(String::as_str).filter(|call| call.starts_with("APPLY")).take(2).collect();
    assert_eq!(first, [format!("APPLY {STRATEGY}").as_str(), kept]);
}

/// The status tells what is there, and the rest comes in the next reconcile, which comes at once.
#[tokio::test(start_paused = true)]
async fn of_many_pools_those_are_left_to_the_next_reconcile_for_which_there_is_no_time() {
    let mut world = two_pools();
    let names: Vec<String> = (0..40).map(|number| format!("pool-{number:02}")).collect();
    world.pools = names.iter().map(|name| Arc::new(pool(name, "old-epp"))).collect();
    let workload = |name: &String| format!("{name}-picker");
    let server = Server::default();
    server.delays(Duration::from_millis(50));
    let began = tokio::time::Instant::now();
    let outcome = executed(&server.executor(), &world).await;
    // What had begun is finished.
    assert!((1000..1300).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let calls = server.calls();
    let whole = |name: &&String| calls.contains(&made(&workload(name), &ALL)[4]);
    let made: Vec<_> = names.iter().filter(whole).collect();
    assert!((8..40).contains(&made.len()), "{made:?}");
    let later: Vec<_> = names.iter().filter(|name| !made.contains(name)).map(workload).collect();
    assert_eq!(outcome.later, later.into_iter().collect());
    assert_eq!((outcome.again, outcome.unwritten.len()), (Some(Duration::ZERO), 0));

    // Somebody who waits for the status has it before.
    let mut plan = plan(&world, &validate(&world, &defaults(), |_| Ok([].into())), Timestamp::UNIX_EPOCH);
    plan.tells_first = true;
    let executor = server.executor();
    let outcome = Outcome::of(&plan, execute(&executor, &world, &plan).await);
    assert_eq!((outcome.kept, outcome.again, outcome.later.len()), (true, Some(Duration::ZERO), 40));
    assert_eq!(server.calls().iter().filter(|call| call.starts_with("APPLY")).count(), 2);
    let memory = Memory::default();
    assert_eq!(
        [7, 7, 8, 8].map(|generation| memory.first_look("uid", generation)),
        [true, false, true, false]
    );

    // However slow the API server is, some comes of each.
    server.delays(Duration::from_secs(9));
    let outcome = executed(&server.executor(), &world).await;
    assert_eq!((outcome.again, outcome.later.len()), (Some(Duration::ZERO), 40));
    assert_eq!(server.calls().iter().filter(|call| call.starts_with("APPLY")).count(), 2 + 8);
}

/// A request whose answer does not come may have arrived: what it makes is to be deleted with the strategy.
#[tokio::test]
async fn what_may_have_been_made_is_remembered() {
    let (world, server) = (snapshot(), Server::default());
    server.refuses(&made("qwen-picker", &["services"])[0]);
    let executor = server.executor();
    executed(&executor, &world).await;
    let remembered = executor.memory.remembered(world.uid(), [].into_iter(), [].into_iter());
    assert!(remembered.made.contains(&(Kind::Service, "qwen-picker".to_owned())), "{remembered:?}");
}

/// A pool refers to a new Service when connections to it arrive, and not before.
#[tokio::test]
async fn a_pool_is_bound_when_connections_arrive() {
    let mut world = snapshot();
    world.owned = workload(&world);
    let server = Server::default();
    let mut executor = server.executor();
    let (memory, mut probes) = Memory::with_margin(Duration::ZERO);
    executor.memory = Arc::new(memory);
    let bound = |outcome: &Outcome| outcome.bindings.values().next().cloned();

    let outcome = executed(&executor, &world).await;
    let waiting = "pool qwen is bound when connections to its pickers arrive".to_owned();
    assert_eq!(bound(&outcome), Some(BindingState::Waiting(waiting)));
    assert!(outcome.again.is_some_and(|again| again <= Duration::from_secs(6)), "{:?}", outcome.again);
    let pool = "APPLY /apis/inference.networking.k8s.io/v1/namespaces/llm/inferencepools/qwen".to_owned();
    assert!(!server.calls().contains(&pool));
    let probe = probes.try_recv().unwrap();
    assert_eq!((probe.service.as_str(), probe.address), ("uid-Service", ([10, 96, 0, 7], 9002).into()));

    executor.memory.reach.tried(&probe, Attempt::Arrived, std::time::Instant::now());
    let outcome = executed(&executor, &world).await;
    assert_eq!(bound(&outcome), Some(BindingState::Bound));
    assert!(server.calls().contains(&pool));
}

/// The objects of the pickers of `world`, as the API server has them, with a picker that is available.
/// Each reconcile asks anew, and none of them begins the wait again.
#[tokio::test]
async fn a_service_without_an_address_keeps_its_pool_for_a_while_and_not_for_ever() {
    let mut world = snapshot();
    world.owned = workload(&world);
    let server = Server::default();
    let executor = server.executor();
    executor.cache.slices.replace(Default::default());
    let first = executed(&executor, &world).await.again.unwrap();
    assert!(first > Duration::from_secs(29) && first <= Duration::from_secs(30), "{first:?}");
    let reach = &executor.memory.reach;
    let strategy = crate::queue::StrategyKey::of(&world.strategy.metadata);
    let later = std::time::Instant::now() + Duration::from_secs(10);
    let left = || reach.wait("uid-Service", None, Some(false), &strategy, later);
    let before = left();
    executed(&executor, &world).await;
    assert_eq!((left(), before.is_some_and(|left| left <= Duration::from_secs(20))), (before, true));
}

/// Nothing is to be had from it by asking often: a change of the Service is told.
#[tokio::test]
async fn a_service_of_somebody_else_is_not_looked_at_all_the_time() {
    let mut world = snapshot();
    world.owned = workload(&world);
    for (_, service) in world.owned.iter_mut().filter(|(kind, _)| *kind == Kind::Service) {
        let metadata = &mut Arc::make_mut(service).metadata;
        (metadata.labels, metadata.annotations) = (None, None);
    }
    let outcome = executed(&Server::default().executor(), &world).await;
    let waiting = "pool qwen is bound when connections to its pickers arrive".to_owned();
    assert_eq!(outcome.bindings.into_values().collect::<Vec<_>>(), [BindingState::Waiting(waiting)]);
    assert_eq!(outcome.again, Some(Duration::from_secs(30)));
}

fn workload(world: &Snapshot) -> Vec<(Kind, Arc<DynamicObject>)> {
    let objects = validate(world, &defaults(), |_| Ok([].into())).picker.unwrap();
    let objects = objects.workloads.into_values().flatten();
    objects
        .map(|object| {
            let mut live = object.content;
            live.metadata.uid = Some(format!("uid-{:?}", object.kind));
            match object.kind {
                Kind::Deployment => live.data["status"] = json!({"availableReplicas": 2}),
                Kind::Service => live.data["spec"]["clusterIP"] = json!("10.96.0.7"),
                _ => {}
            }
            (object.kind, Arc::new(live))
        })
        .collect()
}

#[tokio::test]
async fn what_fails_keeps_only_what_needs_it() {
    let server = Server::default();
    server.refuses(&made("llama-picker", &["services"])[0]);
    let outcome = executed(&server.executor(), &two_pools()).await;
    let calls = server.calls();
    let of = |workload: &str| -> Vec<String> {
        calls.iter().filter(|call| call.starts_with("APPLY") && call.ends_with(workload)).cloned().collect()
    };
    assert_eq!(of("/llama-picker"), made("llama-picker", &ALL[..4]));
    assert_eq!(of("/qwen-picker"), made("qwen-picker", &ALL));
    let refused = [("llama-picker".to_owned(), "not here".to_owned())].into();
    assert_eq!((outcome.refused, outcome.again), (refused, Some(Duration::from_secs(30))));
    assert_eq!(outcome.deployments.keys().collect::<Vec<_>>(), ["qwen-picker"]);
}

/// Pickers serve on after their pool was given back, each object for as long, and then go, the dependent ones first.
#[tokio::test]
async fn pickers_serve_on_for_a_while() {
    let mut world = snapshot();
    world.owned = workload(&world);
    world.strategy = Arc::new(strategy(json!({"pools": []})));
    let server = Server::default();
    let hold = Duration::from_secs(30);
    let outcome = executed(&server.executor_that_holds(hold), &world).await;
    let deleted = |calls: Vec<String>| -> Vec<String> {
        let paths = calls.into_iter().filter_map(|call| Some(call.strip_prefix("DELETE ")?.to_owned()));
        paths.map(|path| path.rsplit('/').nth(1).unwrap_or_default().to_owned()).collect()
    };
    assert_eq!((deleted(server.calls()), outcome.again), (vec![], Some(hold)));

    let outcome = executed(&server.executor(), &world).await;
    let kinds =
        ["poddisruptionbudgets", "deployments", "services", "rolebindings", "roles", "serviceaccounts"];
    assert_eq!((deleted(server.calls()), outcome.again), (kinds.map(str::to_owned).into(), None));
}

/// Only an Event tells that a Secret is missing, and it is asked for seldom.
#[tokio::test]
async fn the_events_of_a_pod_that_does_not_start_are_asked_for() {
    let server = Server::default();
    let events = "/apis/events.k8s.io/v1/namespaces/llm/events";
    let note = "MountVolume.SetUp failed for volume \"tls\" : secret \"gone\" not found";
    let event = json!({"metadata": {"name": "a"}, "eventTime": null, "type": "Warning", "reason": "FailedMount",
        "note": note, "deprecatedLastTimestamp": "2026-01-01T00:00:00Z"});
    server.holds(
        events,
        &json!({"apiVersion": "events.k8s.io/v1", "kind": "EventList", "metadata": {}, "items": [event]}),
    );
    let executor = server.executor();
    let mut plan = Plan::default();
    let inspect = |state, age| Action::Inspect { pod: "qwen-picker-a-1".to_owned(), state, age };
    plan.add(inspect(SilentState::Starting, Duration::ZERO), Vec::new());
    let world = snapshot();
    let outcome = Outcome::of(&plan, execute(&executor, &world, &plan).await);
    // Most pods have started by then.
    assert_eq!((outcome.warnings.len(), server.calls()), (0, vec![]));
    let again = outcome.again.unwrap();
    assert!(again > Duration::from_secs(1) && again <= Duration::from_secs(2), "{again:?}");
    tokio::time::sleep(again).await;
    for calls in [vec![format!("GET {events}")], vec![]] {
        let outcome = Outcome::of(&plan, execute(&executor, &world, &plan).await);
        let warning = PodWarning { reason: "FailedMount".to_owned(), note: note.to_owned() };
        assert_eq!(outcome.warnings, [("qwen-picker-a-1".to_owned(), Some(warning))].into());
        assert_eq!((outcome.error.is_none(), server.calls()), (true, calls));
    }
    // After a restart the cause is known before a status is written.
    let mut plan = Plan::default();
    plan.add(inspect(SilentState::Starting, Duration::from_secs(10)), Vec::new());
    let outcome = Outcome::of(&plan, execute(&server.executor(), &world, &plan).await);
    assert_eq!((outcome.warnings.len(), server.calls()), (1, vec![format!("GET {events}")]));
}

/// The pod is watched, and its condition says all that an Event would.
#[tokio::test]
async fn a_pod_that_no_scheduler_looks_at_is_not_asked_about() {
    let server = Server::default();
    let mut plan = Plan::default();
    let (pod, state) = ("qwen-picker-a-1".to_owned(), SilentState::Unscheduled);
    plan.add(Action::Inspect { pod: pod.clone(), state, age: Duration::from_secs(2) }, Vec::new());
    let outcome = Outcome::of(&plan, execute(&server.executor(), &snapshot(), &plan).await);
    assert_eq!((outcome.warnings, outcome.again), ([(pod, None)].into(), None));
    assert_eq!(server.calls(), Vec::<String>::new());
}

#[test]
fn a_step_is_ready_when_all_that_it_waits_for_is_there() {
    let results = [Some(StepResult::Done), None, Some(StepResult::Taken(TakenNames::default()))];
    let ready = |waits: &[Wait]| readiness(waits, &results);
    assert_eq!(ready(&[]), Readiness::Now);
    assert_eq!(ready(&[Wait::AllBefore(1), Wait::Success(0), Wait::Hold("u".to_owned())]), Readiness::Now);
    assert_eq!(ready(&[Wait::AllBefore(2)]), Readiness::Waiting);
    assert_eq!(ready(&[Wait::End(1), Wait::Success(0)]), Readiness::Waiting);
    assert_eq!(ready(&[Wait::End(2)]), Readiness::Now);
    assert_eq!(ready(&[Wait::NameFree(2)]), Readiness::Never);
    // What can't come any more is not waited for.
    assert_eq!(ready(&[Wait::AllBefore(3), Wait::Success(2)]), Readiness::Never);
}

/// A reconcile that follows at once must neither write the same again nor tell it again.
#[tokio::test]
async fn a_status_that_was_written_is_known_before_the_cache_has_it() {
    let (mut world, server) = (snapshot(), Server::default());
    Arc::make_mut(&mut world.strategy).metadata.resource_version = Some("5".to_owned());
    let mut written = (*world.strategy).clone();
    written.metadata.resource_version = Some("6".to_owned());
    written.status =
        Some(crds::RoutingStrategyStatus { revision: Some("r".to_owned()), ..Default::default() });
    server.holds(&format!("{STRATEGY}/status"), &written);
    let executor = server.executor();
    let patch = serde_json::Map::from_iter([("revision".to_owned(), json!("r"))]);
    let report = Report { patch, unseen: Vec::new(), events: Vec::new() };
    super::report::write(&executor, &world, &report).await.unwrap();
    let next = dereference(world.strategy, &Cache::default(), &executor.memory);
    assert_eq!(next.strategy.status, written.status);
}
