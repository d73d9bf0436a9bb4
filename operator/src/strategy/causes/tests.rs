use std::sync::Arc;

use k8s_openapi::api::core::v1::ResourceRequirements;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::cache::PodProblem;
use crate::names;
use crate::strategy::pod_warning::PodWarning;
use crate::strategy::testing::{pod, snapshot};

/// A pod of the ReplicaSet `set` of qwen-picker, which was made in `second`.
fn unready_pod(name: &str, set: &str, second: i64, kind: ProblemKind) -> Arc<PodFacts> {
    let labels =
        [(names::COMPONENT, names::COMPONENT_PICKER), (names::STRATEGY, "chat"), ("pod-template-hash", set)];
    let mut pod = (*pod(name, &labels, false)).clone();
    pod.replica_set = Some(format!("qwen-picker-{set}"));
    pod.problem = Some(Box::new(PodProblem { created: second, since: second, kind }));
    Arc::new(pod)
}

fn deployment(conditions: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "metadata": {"name": "qwen-picker", "namespace": "llm"}, "status": {"conditions": conditions},
    }))
    .unwrap()
}

/// Reason and line of the cause for which pods with these problems are not ready.
fn cause(world: &Snapshot, outcome: &Outcome, conditions: Value) -> Option<(&'static str, String)> {
    of(world, outcome, &deployment(conditions)).map(|cause| (cause.reason, cause.line()))
}

fn is(reason: &'static str, line: &str) -> Option<(&'static str, String)> {
    Some((reason, line.to_owned()))
}

/// A world of one pod, and what its Events say.
fn world(kind: ProblemKind, warning: Option<(&str, &str)>) -> (Snapshot, Outcome) {
    let mut world = snapshot();
    world.pods = vec![unready_pod("qwen-picker-a-1", "a", 1, kind)];
    let warning =
        warning.map(|(reason, note)| PodWarning { reason: reason.to_owned(), note: note.to_owned() });
    let warnings = [("qwen-picker-a-1".to_owned(), warning)].into();
    (world, Outcome { warnings, ..Outcome::default() })
}

fn waiting(reason: &str, message: &str) -> ProblemKind {
    let [container, image, reason, message] = ["picker", "r/picker:1", reason, message].map(str::to_owned);
    ProblemKind::Waiting { container, image, reason, message }
}

fn ended(container: &str, exit_code: i32, reason: &str, message: &str) -> ProblemKind {
    let [container, image, reason, message] = [container, "r/picker:1", reason, message].map(str::to_owned);
    ProblemKind::Ended { container, image, exit_code, reason, message }
}

fn unscheduled(reason: &str, message: &str) -> ProblemKind {
    ProblemKind::Unscheduled { reason: reason.to_owned(), message: message.to_owned() }
}

#[rstest]
#[case::quota(
    r#"pods "qwen-picker-7d9f-xk2v9" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=4, limited: pods=4"#,
    "the pods are refused: exceeded quota: compute, requested: pods=1, used: pods=4, limited: pods=4; raise that \
     ResourceQuota, or ask for less in spec.picker.resources"
)]
#[case::quota_wants_more(
    r#"pods "qwen-picker-7d9f-xk2v9" is forbidden: failed quota: compute: must specify limits.cpu for: picker"#,
    "the pods are refused: failed quota: compute: must specify limits.cpu for: picker; set these in \
     spec.picker.resources: the ResourceQuota asks for them"
)]
#[case::limit_range(
    r#"pods "qwen-picker-7d9f-xk2v9" is forbidden: [maximum memory usage per Container is 64Mi, but limit is 1Gi]"#,
    "the pods are refused: maximum memory usage per Container is 64Mi, but limit is 1Gi; keep \
     spec.picker.resources within the LimitRange of the namespace"
)]
#[case::webhook(
    r#"admission webhook "policy.example" denied the request: no"#,
    r#"the pods are refused: admission webhook "policy.example" denied the request: no; see that webhook"#
)]
#[case::webhook_is_down(
    r#"Internal error occurred: failed calling webhook "policy.example": connection refused"#,
    r#"the pods are refused: Internal error occurred: failed calling webhook "policy.example": connection refused; see that webhook: it does not answer"#
)]
#[case::priority_class(
    r#"pods "x" is forbidden: no PriorityClass with name high was found"#,
    "the pods are refused: no PriorityClass with name high was found; correct priorityClassName in \
     spec.picker.podTemplate"
)]
#[case::unknown("odd", "the pods are refused: odd; see kubectl describe of its ReplicaSet")]
fn pods_that_are_refused(#[case] message: &str, #[case] line: &str) {
    let conditions = json!([
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetCreated"},
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message},
    ]);
    assert_eq!(cause(&snapshot(), &Outcome::default(), conditions), is("FailedCreate", line));
}

#[test]
fn a_replica_set_that_is_refused() {
    let message = r#"Failed to create new replica set "qwen-picker-7d9f": replicasets.apps "qwen-picker-7d9f" is forbidden: exceeded quota: objects"#;
    let conditions = json!([{"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError", "message": message}]);
    let line = "no ReplicaSet can be made: exceeded quota: objects; raise that ResourceQuota, or ask for less in \
                spec.picker.resources";
    assert_eq!(cause(&snapshot(), &Outcome::default(), conditions), is("FailedCreate", line));
    let overdue = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    assert_eq!(cause(&snapshot(), &Outcome::default(), overdue), None);
}

#[rstest]
#[case::cpu(
    unscheduled(
        "Unschedulable",
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No victims."
    ),
    "Unschedulable",
    "no node takes the pods: 0/1 nodes are available: 1 Insufficient cpu; add nodes, or ask for less in \
     spec.picker.resources.requests"
)]
#[case::selector(
    unscheduled(
        "Unschedulable",
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    ),
    "Unschedulable",
    "no node takes the pods: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector; correct \
     nodeSelector and affinity in spec.picker.podTemplate"
)]
#[case::gate(
    unscheduled("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"),
    "SchedulingGated",
    "a scheduling gate holds the pods back: Scheduling is blocked due to non-empty scheduling gates; whoever set the \
     gate has to lift it"
)]
#[case::no_image(
    waiting("ErrImagePull", r#"rpc error: code = NotFound desc = failed to pull and unpack image "r/picker:1": failed to resolve reference "r/picker:1": r/picker:1: not found"#),
    "ImagePullBackOff",
    "image r/picker:1 can't be pulled: not found; correct the operator's --picker-image (pickerImage of its chart)"
)]
#[case::no_image_still(
    waiting("ImagePullBackOff", r#"Back-off pulling image "r/picker:1": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "r/picker:1": failed to resolve reference "r/picker:1": r/picker:1: not found"#),
    "ImagePullBackOff",
    "image r/picker:1 can't be pulled: not found; correct the operator's --picker-image (pickerImage of its chart)"
)]
#[case::no_registry(
    waiting("ErrImagePull", r#"failed to pull and unpack image "r/picker:1": failed to resolve reference "r/picker:1": failed to do request: Head "https://r/v2/picker/manifests/1": dial tcp: lookup r on 10.96.0.10:53: read udp 10.1.0.7:43211->10.96.0.10:53: i/o timeout"#),
    "ImagePullBackOff",
    "image r/picker:1 can't be pulled: failed to do request: Head \"https://r/v2/picker/manifests/1\": dial tcp: \
     lookup r on 10.96.0.10:53: read udp 10.1.0.7:…->10.96.0.10:53: i/o timeout; correct the operator's \
     --picker-image (pickerImage of its chart)"
)]
#[case::denied(
    waiting("ErrImagePull", "pull access denied"),
    "ImagePullBackOff",
    "image r/picker:1 can't be pulled: pull access denied; correct the operator's --picker-image (pickerImage of its \
     chart), or name its pull secret (imagePullSecrets) in spec.picker.podTemplate"
)]
#[case::no_name(
    waiting("InvalidImageName", "Failed to apply default image tag"),
    "InvalidImageName",
    "r/picker:1 is no name of an image; correct the operator's --picker-image (pickerImage of its chart)"
)]
#[case::config(
    waiting("CreateContainerConfigError", r#"secret "env" not found"#),
    "CreateContainerConfigError",
    r#"the picker can't be configured: secret "env" not found; make it, or correct spec.picker.podTemplate"#
)]
#[case::root(
    waiting("CreateContainerConfigError", r#"container has runAsNonRoot and image will run as root (pod: "qwen-picker-a-1_llm(0c7d)", container: picker)"#),
    "CreateContainerConfigError",
    "the picker can't be configured: container has runAsNonRoot and image will run as root; use an image that does not \
     run as root"
)]
#[case::no_program(
    waiting("RunContainerError", r#"failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "picker": executable file not found in $PATH: unknown"#),
    "RunContainerError",
    "the picker can't be started: error during container init: exec: \"picker\": executable file not found in $PATH; \
     is the image one of a picker, for this kind of node?"
)]
#[case::no_program_still(
    ended("picker", 128, "StartError", r#"failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "picker": executable file not found in $PATH: unknown"#),
    "RunContainerError",
    "the picker can't be started: error during container init: exec: \"picker\": executable file not found in $PATH; \
     is the image one of a picker, for this kind of node?"
)]
#[case::crash(
    ended("picker", 2, "Error", "first words\nunexpected argument '--x'\n"),
    "CrashLoopBackOff",
    "the picker ended with exit code 2: unexpected argument '--x'; see kubectl logs --previous of the pods"
)]
#[case::crash_of_a_sidecar(
    ended("mesh", 1, "Error", ""),
    "CrashLoopBackOff",
    "container mesh ended with exit code 1; see kubectl logs --previous of the pods"
)]
#[case::memory(
    ended("picker", 137, "OOMKilled", "whatever"),
    "OOMKilled",
    "the picker was killed for want of memory (OOMKilled, exit code 137); raise spec.picker.resources.limits.memory \
     (now 1Gi)"
)]
#[case::evicted(
    ProblemKind::Failed { reason: "Evicted".to_owned(), message: "The node was low on resource: memory.".to_owned() },
    "PodFailed",
    "a node has put an end to the pods (Evicted): The node was low on resource: memory; see the node, and \
     spec.picker.resources"
)]
#[case::unknown(
    waiting("NewInTheNextRelease", "odd"),
    "ContainerWaiting",
    "the picker waits (NewInTheNextRelease): odd; see kubectl describe of the pods"
)]
fn what_the_status_of_a_pod_says(
    #[case] kind: ProblemKind,
    #[case] reason: &'static str,
    #[case] line: &str,
) {
    let (world, outcome) = world(kind, None);
    assert_eq!(cause(&world, &outcome, json!([])), is(reason, line));
    // Nothing has to be asked for then.
    assert_eq!(silent(&world, "qwen-picker"), None);
}

/// Before release 1.32 of Kubernetes the pause between two attempts tells no error.
#[test]
fn a_pause_without_an_error_has_no_detail() {
    let (world, outcome) = world(waiting("ImagePullBackOff", r#"Back-off pulling image "r/picker:1""#), None);
    let found = of(&world, &outcome, &deployment(json!([]))).unwrap();
    assert_eq!((found.reason, found.detail), ("ImagePullBackOff", None));
}

#[test]
fn the_field_of_the_strategy_is_named() {
    let (mut world, outcome) = world(waiting("ErrImagePull", "not found"), None);
    let picker = &mut Arc::make_mut(&mut world.strategy).spec.picker;
    picker.image = Some("r/picker:1".to_owned());
    picker.resources =
        Some(serde_json::from_value::<ResourceRequirements>(json!({"limits": {"memory": "16Mi"}})).unwrap());
    let line = "image r/picker:1 can't be pulled: not found; correct spec.picker.image";
    assert_eq!(cause(&world, &outcome, json!([])), is("ImagePullBackOff", line));
    world.pods = vec![unready_pod("p", "a", 1, ended("picker", 137, "OOMKilled", ""))];
    let line = "the picker was killed for want of memory (OOMKilled, exit code 137); raise \
                spec.picker.resources.limits.memory (now 16Mi)";
    assert_eq!(cause(&world, &outcome, json!([])), is("OOMKilled", line));
}

#[rstest]
#[case::no_secret(
    ("FailedMount", r#"MountVolume.SetUp failed for volume "tls" : secret "gone" not found"#),
    "FailedMount",
    "Secret gone of spec.picker.tls.secretName is not there; make it in this namespace, with tls.crt and tls.key"
)]
#[case::no_key(
    ("FailedMount", r#"MountVolume.SetUp failed for volume "tls" : references non-existent secret key: tls.crt"#),
    "FailedMount",
    "Secret gone of spec.picker.tls.secretName has no key tls.crt; it has to have tls.crt and tls.key"
)]
#[case::no_authorities(
    ("FailedMount", r#"MountVolume.SetUp failed for volume "client-ca" : configmap "ca" not found"#),
    "FailedMount",
    "ConfigMap ca of spec.picker.tls.clientCA.configMapName is not there; make it in this namespace, with ca.crt"
)]
#[case::another_volume(
    ("FailedMount", r#"MountVolume.SetUp failed for volume "data" : rpc error: no such disk"#),
    "FailedMount",
    "a volume can't be mounted: MountVolume.SetUp failed for volume \"data\" : rpc error: no such disk; see kubectl \
     describe of the pods"
)]
#[case::sandbox(
    ("FailedCreatePodSandBox", r#"Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "0f3c5d7e9a1b2c3d": no addresses"#),
    "FailedCreatePodSandBox",
    "the pods get no sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"…\": no addresses; \
     see the node's network plugin and container runtime"
)]
fn what_only_an_event_says(#[case] warning: (&str, &str), #[case] reason: &'static str, #[case] line: &str) {
    let (mut world, outcome) = world(ProblemKind::Starting, Some(warning));
    let tls = json!({"mode": "Secret", "secretName": "gone", "clientCA": {"configMapName": "ca"}});
    Arc::make_mut(&mut world.strategy).spec.picker.tls = serde_json::from_value(tls).unwrap();
    assert_eq!(cause(&world, &outcome, json!([])), is(reason, line));
    let pod = SilentPod { name: "qwen-picker-a-1", state: SilentState::Starting, since: 1 };
    assert_eq!(silent(&world, "qwen-picker"), Some(pod));
    // Not before it was asked for.
    assert_eq!(cause(&world, &Outcome::default(), json!([])), None);
}

#[test]
fn a_picker_that_runs_says_what_it_waits_for() {
    let (mut world, outcome) = world(
        ProblemKind::NotReady,
        Some(("Unhealthy", r#"Readiness probe failed: service unhealthy (responded with "NOT_SERVING")"#)),
    );
    let line = "the picker runs and is not ready: service unhealthy (responded with \"NOT_SERVING\"); its log says what \
                it waits for";
    assert_eq!(cause(&world, &outcome, json!([])), is("NotReady", line));
    let entry = crds::PickerStatus { error: Some("plugins[0]: too new".to_owned()), ..Default::default() };
    let status = Arc::make_mut(&mut world.strategy).status.get_or_insert_default();
    status.pickers = [("qwen-picker-a-1".to_owned(), entry)].into();
    let line = "the picker runs and is not ready: plugins[0]: too new; its log says what it waits for";
    assert_eq!(cause(&world, &outcome, json!([])), is("NotReady", line));
    assert_eq!(cause(&world, &Outcome::default(), json!([])), None);
}

#[test]
fn a_cluster_without_a_scheduler_is_told() {
    let (world, outcome) = world(unscheduled("", ""), None);
    let line = "no scheduler has looked at the pods yet; is one running, and schedulerName of spec.picker.podTemplate \
                its name?";
    assert_eq!(cause(&world, &outcome, json!([])), is("Unschedulable", line));
    assert_eq!(cause(&world, &Outcome::default(), json!([])), None);
}

#[test]
fn of_several_pods_the_one_that_came_furthest_counts() {
    let mut world = snapshot();
    world.pods = vec![
        unready_pod("p-1", "a", 1, unscheduled("Unschedulable", "x")),
        unready_pod("p-2", "a", 1, ended("picker", 1, "Error", "")),
        unready_pod("p-3", "a", 1, waiting("ErrImagePull", "x")),
    ];
    let found = |world: &Snapshot| cause(world, &Outcome::default(), json!([])).map(|(reason, _)| reason);
    assert_eq!(found(&world), Some("CrashLoopBackOff"));
    // Of pods that are replaced only those of the newest template count, and those that are over don't.
    world.pods.push(unready_pod("p-4", "b", 2, waiting("ErrImagePull", "x")));
    assert_eq!(found(&world), Some("ImagePullBackOff"));
    world.pods.push(unready_pod("p-5", "c", 3, ProblemKind::Starting));
    assert_eq!(found(&world), None);
    let over = ProblemKind::Failed { reason: "Evicted".to_owned(), message: String::new() };
    world.pods.push(unready_pod("p-6", "d", 4, over.clone()));
    assert_eq!(found(&world), None);
    world.pods = vec![unready_pod("p-6", "d", 4, over)];
    assert_eq!(found(&world), Some("PodFailed"));
}

/// Whoever may make pods can give them any label.
#[test]
fn a_pod_of_another_deployment_says_nothing() {
    let mut world = snapshot();
    let mut other = (*unready_pod("p-1", "a", 1, ended("picker", 1, "Error", ""))).clone();
    other.replica_set = Some("other-picker-a".to_owned());
    world.pods = vec![Arc::new(other)];
    assert_eq!(cause(&world, &Outcome::default(), json!([])), None);
}
