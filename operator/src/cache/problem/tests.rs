use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn scheduled() -> Value {
    json!([{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}])
}

fn status_of(state: Value, last_state: Value) -> Value {
    json!({"phase": "Pending", "conditions": scheduled(), "containerStatuses": [{
        "name": "picker", "image": "r/picker:1", "ready": false, "restartCount": 3, "state": state, "lastState": last_state,
    }]})
}

fn waits(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

fn waiting(reason: &str, message: &str) -> ProblemKind {
    let [container, image, reason, message] = ["picker", "r/picker:1", reason, message].map(str::to_owned);
    ProblemKind::Waiting { container, image, reason, message }
}

fn ended(exit_code: i32, reason: &str, message: &str) -> ProblemKind {
    let [container, image, reason, message] = ["picker", "r/picker:1", reason, message].map(str::to_owned);
    ProblemKind::Ended { container, image, exit_code, reason, message }
}

fn unscheduled(reason: &str, message: &str) -> ProblemKind {
    ProblemKind::Unscheduled { reason: reason.to_owned(), message: message.to_owned() }
}

fn oom() -> Value {
    json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-01-01T00:00:00Z"}})
}

#[rstest]
#[case::just_made(json!({"phase": "Pending"}), unscheduled("", ""))]
#[case::no_node(
    json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu."}]}),
    unscheduled("Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")
)]
#[case::no_container_yet(json!({"phase": "Pending", "conditions": scheduled()}), ProblemKind::Starting)]
#[case::creating(status_of(waits("ContainerCreating", ""), json!({})), ProblemKind::Starting)]
#[case::no_image(
    status_of(waits("ErrImagePull", "not found"), json!({})),
    waiting("ErrImagePull", "not found")
)]
#[case::crash_loop(
    status_of(waits("CrashLoopBackOff", "back-off 40s"), json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "no\n"}})),
    ended(1, "Error", "no")
)]
#[case::runs_again(status_of(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), oom()), ended(137, "OOMKilled", ""))]
#[case::just_ended(status_of(oom(), json!({})), ended(137, "OOMKilled", ""))]
#[case::runs(
    status_of(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), json!({})),
    ProblemKind::NotReady
)]
#[case::evicted(
    json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}),
    ProblemKind::Failed { reason: "Evicted".to_owned(), message: "The node was low on resource: memory.".to_owned() }
)]
fn a_status_is_one_problem(#[case] status: Value, #[case] wanted: ProblemKind) {
    let text =
        json!({"metadata": {"creationTimestamp": "1970-01-01T00:01:00Z"}, "status": status}).to_string();
    let problem = PodProblem::read(&text).unwrap();
    assert_eq!((problem.created, problem.kind), (60, wanted));
}

#[rstest]
#[case::without_a_node("Unschedulable", json!({}), 60)]
#[case::starts("", json!({"waiting": {"reason": "ContainerCreating"}}), 70)]
#[case::waits("", waits("ErrImagePull", "not found"), 60)]
#[case::just_runs("", json!({"running": {"startedAt": "1970-01-01T00:01:30Z"}}), 90)]
#[case::was_ready("", json!({"running": {"startedAt": "1970-01-01T00:01:15Z"}}), 80)]
fn a_state_has_its_beginning(#[case] unscheduled: &str, #[case] state: Value, #[case] since: i64) {
    let status = if unscheduled.is_empty() { "True" } else { "False" };
    let conditions = json!([
        {"type": "PodScheduled", "status": status, "reason": unscheduled, "lastTransitionTime": "1970-01-01T00:01:10Z"},
        {"type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:01:20Z"},
    ]);
    let containers = json!([{"name": "picker", "image": "r/picker:1", "ready": false, "state": state}]);
    let pod = json!({"metadata": {"creationTimestamp": "1970-01-01T00:01:00Z"},
        "status": {"phase": "Pending", "conditions": conditions, "containerStatuses": containers}});
    let problem = PodProblem::read(&pod.to_string()).unwrap();
    assert_eq!((problem.created, problem.since), (60, since));
}

/// A service mesh adds containers before and beside the picker.
#[test]
fn the_first_container_that_is_in_the_way_counts() {
    let container =
        |name: &str, state: Value| json!({"name": name, "image": "i", "ready": false, "state": state});
    let over = container("istio-init", json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
    let mut beside = container("istio-proxy", json!({"running": {}}));
    beside["started"] = true.into();
    let waits = container("picker", waits("InvalidImageName", "x"));
    let status = |init: Value| {
        json!({"status": {"phase": "Pending", "conditions": scheduled(), "initContainerStatuses": init,
            "containerStatuses": [waits]}})
        .to_string()
    };
    let named = |text: &str| match PodProblem::read(text).unwrap().kind {
        ProblemKind::Waiting { container, .. } | ProblemKind::Ended { container, .. } => container,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(&status(json!([over, beside]))), "picker");
    let failed = container("istio-init", json!({"terminated": {"exitCode": 1, "reason": "Error"}}));
    assert_eq!(named(&status(json!([failed, beside]))), "istio-init");
}

#[test]
fn texts_of_others_are_bounded() {
    let long = "x".repeat(5000);
    let text = json!({"status": {"phase": "Failed", "reason": long, "message": long}}).to_string();
    let Some(PodProblem { kind: ProblemKind::Failed { reason, message }, .. }) = PodProblem::read(&text)
    else {
        panic!()
    };
    assert_eq!((reason.len(), message.len()), (LONGEST, LONGEST));
}
