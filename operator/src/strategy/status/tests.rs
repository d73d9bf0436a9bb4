use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use kube_ext::host_network::HostPod;
use picker_core::config::{ConfigError, ErrorKind, Errors};
use serde_json::json;

use super::*;
use crate::kinds::Kind;
use crate::names;
use crate::strategy::binding::BindingState;
use crate::strategy::compiled::CompiledRoutings;
use crate::strategy::memory::KeptRevision;
use crate::strategy::plan::Step;
use crate::strategy::taken::TakenNames;
use crate::strategy::testing::{defaults, pod, pool, snapshot, strategy};
use crate::strategy::validate::validate;
use crate::strategy::write_error::WriteError;

mod paused;
mod pools;

fn deployment(wanted: i64, ready: i64) -> (Kind, Arc<DynamicObject>) {
    let object = json!({
        "metadata": {"name": "qwen-picker", "namespace": "llm", "generation": 1,
            "labels": {names::MANAGED_BY: names::MANAGED_BY_WAYPOST, names::STRATEGY: "chat"}},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 1, "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": ready},
    });
    (Kind::Deployment, Arc::new(serde_json::from_value(object).unwrap()))
}

fn picker(name: &str) -> Arc<crate::cache::PodFacts> {
    let labels = [
        (names::COMPONENT, names::COMPONENT_PICKER),
        (names::MANAGED_BY, names::MANAGED_BY_WAYPOST),
        (names::STRATEGY, "chat"),
        ("pod-template-hash", "5c75"),
    ];
    let mut picker = (*pod(name, &labels, true)).clone();
    picker.replica_set = Some("qwen-picker-5c75".to_owned());
    Arc::new(picker)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A world in which all is well: one pool, two pickers, one model server.
fn well() -> (Snapshot, Outcome) {
    let mut snapshot = snapshot();
    snapshot.pools = vec![Arc::new(pool("qwen", "qwen-picker"))];
    snapshot.owned = vec![deployment(2, 2)];
    snapshot.pods = vec![picker("p-1"), picker("p-2"), pod("vllm-0", &[("app", "qwen")], true)];
    let revision = picker_core::config::revision(&snapshot.strategy.spec.routing.0);
    let entry = crds::PickerStatus { revision: Some(revision), ..crds::PickerStatus::default() };
    let status = Arc::make_mut(&mut snapshot.strategy).status.get_or_insert_default();
    status.pickers = [("p-1".to_owned(), entry.clone()), ("p-2".to_owned(), entry)].into();
    let bindings = [((Default::default(), "qwen".to_owned()), BindingState::Bound)].into();
    (snapshot, Outcome { kept: true, bindings, ..Outcome::default() })
}

/// [`well`] with the pools phi and yi beside qwen, which nobody has bound yet and of which nothing was made.
fn three_pools() -> (Snapshot, Outcome) {
    let (mut snapshot, mut outcome) = well();
    let status = snapshot.strategy.status.clone();
    let mut strategy = strategy(json!({"pools": [{"selector": {}}]}));
    strategy.status = status;
    snapshot.strategy = Arc::new(strategy);
    for name in ["phi", "yi"] {
        snapshot.pools.push(Arc::new(pool(name, "old-epp")));
        let message = format!("pool {name} is bound when a picker of {name}-picker is ready");
        outcome.bindings.insert((Default::default(), name.to_owned()), BindingState::Waiting(message));
    }
    (snapshot, outcome)
}

fn said(status: &RoutingStrategyStatus, name: &str) -> (String, String, String) {
    let condition = status.conditions.iter().find(|c| c.type_ == name).unwrap();
    (condition.status.clone(), condition.reason.clone(), condition.message.clone())
}

fn is(status: &str, reason: &str, message: &str) -> (String, String, String) {
    (status.to_owned(), reason.to_owned(), message.to_owned())
}

#[test]
fn all_is_well() {
    let (snapshot, outcome) = well();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    insta::assert_yaml_snapshot!(compute(&snapshot, &valid, &outcome, at(0)));
}

/// Requests go where they should: a failure mode that differs is a warning.
#[test]
fn a_pool_with_another_failure_mode_is_bound_with_a_warning() {
    let (snapshot, mut outcome) = well();
    let warning = "pool qwen has failureMode FailClose".to_owned();
    for state in outcome.bindings.values_mut() {
        *state = BindingState::OtherMode(warning.clone());
    }
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let message = format!("every pool refers to its pickers; {warning}");
    assert_eq!(said(&status, "PoolsBound"), is("True", "Bound", &message));
    assert_eq!(said(&status, "Ready").0, "True");
    assert!(!status.conditions.iter().any(|c| c.type_ == "Contested"));
    assert_eq!((status.pools[0].bound, &status.pools[0].message), (true, &Some(warning)));
    assert_eq!(status.summary.unwrap().pools, "1/1");
}

#[test]
fn nothing_differs_the_second_time() {
    let (snapshot, outcome) = well();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let first = compute(&snapshot, &valid, &outcome, at(0));
    let mut later = snapshot;
    Arc::make_mut(&mut later.strategy).status = Some(RoutingStrategyStatus {
        pickers: later.strategy.status.clone().unwrap().pickers,
        ..first.clone()
    });
    let second = compute(&later, &valid, &outcome, at(1000));
    assert_eq!(difference(&first, &second).unwrap(), Map::new());
}

#[test]
fn a_wrong_routing_leaves_the_last_good_one() {
    let (mut snapshot, outcome) = well();
    snapshot.remembered.kept = Some(KeptRevision { number: 1, revision: "good".to_owned() });
    // What a picker could have written.
    Arc::make_mut(&mut snapshot.strategy).status.as_mut().unwrap().revision = Some("forged".to_owned());
    let errors = Errors(vec![
        ConfigError::new("plugins[1].type", ErrorKind::UnknownPlugin, "unknown plugin type \"x\""),
        ConfigError::new("", ErrorKind::Invalid, "odd"),
    ]);
    let valid = validate(&snapshot, &defaults(), |_| Err(errors));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(status.revision.as_deref(), Some("good"));
    let message = "revision good still serves; spec.routing.plugins[1].type: unknown plugin type \"x\"; spec.routing: odd";
    assert_eq!(said(&status, "Accepted"), is("False", "InvalidRouting", message));
    assert_eq!(said(&status, "Stalled"), is("True", "InvalidRouting", message));
    assert_eq!(said(&status, "Ready").0, "False");
    // Nobody must believe that requests are routed when they are not.
    snapshot.owned = vec![deployment(2, 0)];
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let message = message.replace("still serves", "stays, and no picker is ready");
    assert_eq!(said(&status, "Accepted"), is("False", "InvalidRouting", &message));
}

#[test]
fn a_routing_that_is_too_large_is_told_by_its_size() {
    let (mut snapshot, outcome) = well();
    Arc::make_mut(&mut snapshot.strategy).spec.withhold("too long: 500204 bytes, more than 262144");
    let compiled = CompiledRoutings::default();
    let valid = validate(&snapshot, &defaults(), |routing| compiled.compile(routing));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let message = "spec.routing: too long: 500204 bytes, more than 262144";
    assert_eq!(said(&status, "Accepted"), is("False", "InvalidRouting", message));
}

/// Whoever waits for an edit to be programmed must not be told that it is when it was refused.
#[test]
fn a_generation_that_is_not_accepted_is_not_programmed() {
    let (mut snapshot, outcome) = well();
    let serving = snapshot.strategy.status.as_ref().unwrap().pickers["p-1"].revision.clone().unwrap();
    snapshot.remembered.kept = Some(KeptRevision { number: 1, revision: serving.clone() });
    let errors = || Errors(vec![ConfigError::new("plugins", ErrorKind::Invalid, "odd")]);
    let message = format!("generation 7 is not accepted; every ready picker serves revision {serving}");
    let wanted = is("False", "NotAccepted", &message);
    let valid = validate(&snapshot, &defaults(), |_| Err(errors()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(said(&status, "Programmed"), wanted);
    // It is told once, as what is wrong with it.
    let told: Vec<_> = events::turned(&RoutingStrategyStatus::default(), &status).into_iter().collect();
    assert!(told.iter().all(|event| event.reason != "NotAccepted"), "{told:?}");
    // Neither is one whose pickers are refused.
    let template = json!({"spec": {"hostNetwork": true}});
    Arc::make_mut(&mut snapshot.strategy).spec.picker.pod_template = template.as_object().unwrap().clone();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    assert!(valid.picker.is_err());
    assert_eq!(said(&compute(&snapshot, &valid, &outcome, at(0)), "Programmed"), wanted);
}

/// Status, reason and message of a condition.
type Said = (String, String, String);

/// What `routing` makes of Accepted and Ready, and what would be written about it a second time.
fn judged(routing: Value) -> ([Said; 2], Map<String, Value>) {
    let (mut snapshot, outcome) = well();
    Arc::make_mut(&mut snapshot.strategy).spec.routing.0 = routing;
    let compiled = CompiledRoutings::default();
    let at = |snapshot: &Snapshot, second| {
        let valid = validate(snapshot, &defaults(), |routing| compiled.compile(routing));
        compute(snapshot, &valid, &outcome, at(second))
    };
    let first = at(&snapshot, 0);
    Arc::make_mut(&mut snapshot.strategy).status = Some(first.clone());
    let second = difference(&first, &at(&snapshot, 1000)).unwrap();
    ([said(&first, "Accepted"), said(&first, "Ready")], second)
}

#[test]
fn warnings_are_said_and_accepted() {
    let synced = json!({"type": "inflight-load-producer", "parameters": {"syncCrossReplicaState": true}});
    let routing = json!({"plugins": [{"type": "queue-scorer"}, synced]});
    let revision = picker_core::config::revision(&routing);
    let message = format!(
        "the routing compiles to revision {revision}; warnings: \
         spec.routing.plugins[1].parameters.syncCrossReplicaState: has no effect: replicas don't know each other's \
         load; leave it out"
    );
    let ([accepted, _], second) = judged(routing);
    assert_eq!((accepted, second), (is("True", "Accepted", &message), Map::new()));
}

#[test]
fn a_routing_that_names_a_file_is_not_accepted() {
    let parameters =
        json!({"scheme": "https", "insecureSkipVerify": false, "caCertPath": "/var/run/secrets/token"});
    let source = json!({"type": "metrics-data-source", "parameters": parameters});
    let message = "spec.routing.plugins[0].parameters.caCertPath: names a file of the picker's pod, which only a \
                   configuration file may do; take it out";
    let refused = is("False", "InvalidRouting", message);
    let (said, second) = judged(json!({"plugins": [source, {"type": "queue-scorer"}]}));
    assert_eq!((said, second), ([refused.clone(), refused], Map::new()));
}

#[test]
fn a_routing_that_is_not_kept_is_not_to_be_served() {
    let (mut snapshot, mut outcome) = well();
    outcome.kept = false;
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    assert_eq!(compute(&snapshot, &valid, &outcome, at(0)).revision, None);
    // Nor is the strategy ready when all pickers serve what was kept before.
    snapshot.remembered.kept = Some(KeptRevision { number: 1, revision: "older".to_owned() });
    let status = Arc::make_mut(&mut snapshot.strategy).status.as_mut().unwrap();
    for entry in status.pickers.values_mut() {
        entry.revision = Some("older".to_owned());
    }
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(status.revision.as_deref(), Some("older"));
    assert_eq!((said(&status, "Programmed").1, said(&status, "Ready").0), ("Pending".into(), "False".into()));
}

#[test]
fn programmed_names_who_is_behind() {
    let (mut snapshot, outcome) = well();
    let status = Arc::make_mut(&mut snapshot.strategy).status.as_mut().unwrap();
    let entry = status.pickers.get_mut("p-2").unwrap();
    entry.revision = Some("older".to_owned());
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let revision = valid.routing.clone().unwrap();
    assert_eq!(
        said(&compute(&snapshot, &valid, &outcome, at(0)), "Programmed"),
        is("False", "Pending", &format!("1 of 2 serve revision {revision}; not p-2"))
    );
    let status = Arc::make_mut(&mut snapshot.strategy).status.as_mut().unwrap();
    status.pickers.get_mut("p-2").unwrap().error = Some("plugins[0]: too new".to_owned());
    assert_eq!(
        said(&compute(&snapshot, &valid, &outcome, at(0)), "Programmed"),
        is("False", "ReplicaError", "p-2: plugins[0]: too new")
    );
    assert_eq!(said(&compute(&snapshot, &valid, &outcome, at(0)), "Stalled").1, "ReplicaError");
}

#[test]
fn a_pod_that_only_looks_like_a_picker_is_none() {
    let (mut snapshot, outcome) = well();
    let mut alone = (*picker("p-3")).clone();
    alone.replica_set = None;
    let mut other = (*picker("p-4")).clone();
    other.replica_set = Some("qwen-picker-2-5c75".to_owned());
    snapshot.pods.extend([alone, other].map(Arc::new));
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    assert_eq!(said(&compute(&snapshot, &valid, &outcome, at(0)), "Programmed").0, "True");
    snapshot.pods.push(picker("p-5"));
    assert_eq!(said(&compute(&snapshot, &valid, &outcome, at(0)), "Programmed").0, "False");
}

/// Two ports of one address are not those of both pods.
#[test]
fn pods_of_a_node_that_do_not_say_which_port_is_theirs_are_named() {
    let (mut snapshot, outcome) = well();
    let on_host = |name: &str, declared: &[u16]| {
        let mut pod = (*pod(name, &[("app", "qwen")], true)).clone();
        let address = "10.0.0.7".parse().unwrap();
        pod.host = Some(HostPod { address, declared: declared.iter().copied().collect() });
        Arc::new(pod)
    };
    let message = |snapshot: &Snapshot| {
        let valid = validate(snapshot, &defaults(), |_| Ok([].into()));
        let status = compute(snapshot, &valid, &outcome, at(0));
        status.conditions.iter().find(|condition| condition.type_ == "HasEndpoints").unwrap().message.clone()
    };
    snapshot.pods[2] = on_host("vllm-0", &[]);
    assert_eq!(message(&snapshot), "every pool selects a ready pod");
    snapshot.pods.push(on_host("vllm-1", &[]));
    assert_eq!(
        message(&snapshot),
        "every pool selects a ready pod; give pods vllm-0, vllm-1 of pool qwen the annotation \
         inference.networking.k8s.io/active-ports or their containerPort: they share the address of a node, and each counts \
         as owner of all ports"
    );
    snapshot.pods[2] = on_host("vllm-0", &[8000]);
    snapshot.pods[3] = on_host("vllm-1", &[8001]);
    assert_eq!(message(&snapshot), "every pool selects a ready pod");
}

#[test]
fn endpoints_are_some_none_ready_or_none() {
    let (mut snapshot, outcome) = well();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    assert_eq!(said(&compute(&snapshot, &valid, &outcome, at(0)), "HasEndpoints").1, "EndpointsReady");
    snapshot.pods[2] = pod("vllm-0", &[("app", "qwen")], false);
    assert_eq!(said(&compute(&snapshot, &valid, &outcome, at(0)), "HasEndpoints").1, "NoneReady");
    snapshot.pods.pop();
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(said(&status, "HasEndpoints").1, "NoPods");
    assert_eq!(said(&status, "Ready").0, "True");
}

#[test]
fn a_rollout_is_not_available_until_it_is_over() {
    let (mut snapshot, outcome) = well();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    snapshot.owned = vec![deployment(2, 1)];
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(
        said(&status, "Available"),
        is("False", "Progressing", "Deployment qwen-picker is rolling out")
    );
    assert_eq!(status.summary.unwrap().pickers, "1/2");
}

/// The cache has the Deployment from before the edit, which is complete.
#[test]
fn a_rollout_that_was_only_just_asked_for_is_not_available() {
    let (snapshot, mut outcome) = well();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let mut stored = (*snapshot.owned[0].1).clone();
    outcome.deployments.insert("qwen-picker".to_owned(), stored.clone());
    // Nothing of its spec was changed, so that no rollout begins.
    assert_eq!(said(&compute(&snapshot, &valid, &outcome, at(0)), "Ready").0, "True");
    stored.metadata.generation = Some(2);
    outcome.deployments.insert("qwen-picker".to_owned(), stored);
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let rolling = is("False", "Progressing", "Deployment qwen-picker is rolling out");
    assert_eq!(said(&status, "Available"), rolling);
    assert_eq!(said(&status, "Ready"), rolling);
}

#[test]
fn what_could_not_be_written_is_not_ready() {
    let (snapshot, outcome) = well();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let outcome = Outcome { error: Some(WriteError::Timeout), ..outcome };
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(
        said(&status, "Ready"),
        is("False", "Pending", "not everything could be written; trying again")
    );
    assert_eq!(said(&status, "Available").0, "True");
    let outcome = Outcome { unwritten: ["qwen-picker".to_owned()].into(), ..outcome };
    assert_eq!(said(&compute(&snapshot, &valid, &outcome, at(0)), "Available").1, "Progressing");
}

#[test]
fn a_pool_that_cannot_be_given_back_is_named() {
    let (snapshot, outcome) = well();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let blocked = [("llama", "spec.x: Invalid value"), ("phi", "denied")];
    let blocked = blocked.map(|(pool, why)| (pool.to_owned(), why.to_owned())).into();
    let status = compute(&snapshot, &valid, &Outcome { blocked, ..outcome }, at(0));
    let message = "not given back yet: pool llama: spec.x: Invalid value; pool phi: denied";
    assert_eq!(said(&status, "Ready"), is("False", "Releasing", message));
}

/// The world of [`well`] whose Deployment is not complete and has these conditions.
fn incomplete(conditions: Value) -> (Snapshot, Outcome) {
    let (mut snapshot, outcome) = well();
    let (kind, live) = deployment(2, 1);
    let mut live = (*live).clone();
    live.data["status"]["conditions"] = conditions;
    snapshot.owned = vec![(kind, Arc::new(live))];
    (snapshot, outcome)
}

#[test]
fn a_rollout_that_is_overdue_needs_a_hand() {
    let overdue = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
    let refused = json!({"type": "ReplicaFailure", "status": "True", "message": "odd"});
    let says = |conditions: Value| {
        let (snapshot, outcome) = incomplete(conditions);
        let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
        let status = compute(&snapshot, &valid, &outcome, at(0));
        (said(&status, "Available").1, status.conditions[1].type_.clone())
    };
    let is = |reason: &str, condition: &str| (reason.to_owned(), condition.to_owned());
    assert_eq!(says(json!([overdue])), is("Unavailable", "Stalled"));
    // What is known of the cause is told at once, and that it takes too long when it does.
    assert_eq!(says(json!([refused])), is("FailedCreate", "Reconciling"));
    assert_eq!(says(json!([overdue, refused])), is("FailedCreate", "Stalled"));
}

/// What is wrong with the pickers is what keeps their pool from being bound, not the other way round.
#[test]
fn ready_names_the_deepest_cause() {
    let refused = json!([{"type": "ReplicaFailure", "status": "True", "message": "odd"}]);
    let (snapshot, mut outcome) = incomplete(refused);
    let waits = BindingState::Waiting("pool qwen is bound when a picker of qwen-picker is ready".to_owned());
    outcome.bindings = [((Default::default(), "qwen".to_owned()), waits)].into();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let line = "the pods are refused: odd; see kubectl describe of its ReplicaSet";
    assert_eq!(said(&status, "Ready"), is("False", "FailedCreate", line));
}

#[test]
fn an_upgrade_that_waits_is_said_and_ready() {
    let (mut snapshot, mut outcome) = well();
    outcome.postponed = vec!["qwen-picker".to_owned(), "x-picker".to_owned()];
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let message = |until: &str| {
        format!(
            "every wanted picker is ready; UpgradePending: the pods of qwen-picker and 1 more are as an earlier \
             release made them until {until}"
        )
    };
    assert_eq!(said(&status, "Available"), is("True", "UpgradePending", &message("their turn comes")));
    assert_eq!(said(&status, "Ready").0, "True");
    Arc::make_mut(&mut snapshot.strategy).spec.picker.update_policy = crds::UpdatePolicy::Manual;
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let message = message("spec.picker is changed, or its updatePolicy");
    assert_eq!(said(&status, "Available"), is("True", "UpgradePending", &message));
}

#[test]
fn a_missing_kind_of_monitors_is_said_and_ready() {
    let (mut snapshot, outcome) = well();
    Arc::make_mut(&mut snapshot.strategy).spec.picker.metrics.service_monitor = true;
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let available = |snapshot: &Snapshot| said(&compute(snapshot, &valid, &outcome, at(0)), "Available");
    assert_eq!(available(&snapshot), is("True", "Available", "every wanted picker is ready"));
    snapshot.monitors = false;
    let message = "every wanted picker is ready; no ServiceMonitor is made before monitoring.coreos.com/v1 is installed";
    assert_eq!(available(&snapshot), is("True", "Available", message));
}

#[test]
fn a_name_that_is_taken_needs_a_hand() {
    let (snapshot, mut outcome) = well();
    outcome.taken.insert("qwen-picker".to_owned(), TakenNames::one("Service", "qwen-picker", false));
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(said(&status, "Available").1, "NameTaken");
    assert_eq!(said(&status, "Stalled").1, "NameTaken");
    // With a name that is of no pool, all of them.
    outcome.taken.insert(
        "waypost:llm:chat".to_owned(),
        TakenNames::one("ClusterRoleBinding", "waypost:llm:chat", false),
    );
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let message = "Service qwen-picker is not this strategy's; rename or delete it; ClusterRoleBinding waypost:llm:chat is \
                   not this strategy's; rename or delete it";
    assert_eq!(said(&status, "Available").2, message);
}

/// Whose operator works is told where several would, and is no reason not to be ready.
#[test]
fn an_overlap_names_the_holder() {
    let (mut snapshot, outcome) = well();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let yielding = vec!["team/waypost-operator".to_owned()];
    snapshot.overlap =
        Some(crate::lease::Overlap { holder: "waypost-system/waypost-operator".to_owned(), yielding });
    let status = compute(&snapshot, &valid, &outcome, at(0));
    let message = "the operator waypost-system/waypost-operator (namespace/Lease) works on this strategy; \
                   team/waypost-operator would too, and yields: let each watch other namespaces, or uninstall one";
    assert_eq!(said(&status, "Overlapping"), is("True", "AnotherOperator", message));
    assert_eq!(said(&status, "Ready").0, "True");
    let events: Vec<_> = super::events::turned(&RoutingStrategyStatus::default(), &status)
        .into_iter()
        .map(|e| e.reason)
        .collect();
    assert!(events.contains(&"AnotherOperator".to_owned()), "{events:?}");
}

#[test]
fn a_missing_pool_is_waited_for() {
    let (mut snapshot, mut outcome) = well();
    snapshot.pools.clear();
    outcome.bindings.clear();
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(
        said(&status, "PoolsBound"),
        is("False", "PoolNotFound", "no InferencePool qwen in namespace llm")
    );
    assert!(status.conditions.iter().any(|c| c.type_ == "Reconciling"));
    assert!(!status.conditions.iter().any(|c| c.type_ == "Stalled"));
    assert_eq!(status.summary.unwrap().pools, "0/1");
}

#[test]
fn only_names_of_pods_are_asked_for() {
    for (name, wanted) in [
        ("chat-picker-5c75-x", true),
        ("a.b", true),
        ("a b", false),
        ("x/y", false),
        ("-a", false),
        ("", false),
    ] {
        assert_eq!(is_dns1123(name), wanted, "{name}");
    }
}

/// The report about a strategy that is being deleted, as text.
fn deletion(outcome: &Outcome) -> String {
    report_deletion(&snapshot(), outcome, at(0)).unwrap().to_string()
}

fn not_given_back(why: &str) -> String {
    let ready = json!([{"lastTransitionTime": "1970-01-01T00:00:00Z", "message": format!("not given back yet: {why}"),
        "observedGeneration": 7, "reason": "Releasing", "status": "False", "type": "Ready"}]);
    format!("report {}", json!({"observedGeneration": 7, "conditions": ready}))
}

#[test]
fn of_a_deletion_is_said_what_was_given_back_and_what_keeps_it() {
    assert_eq!(deletion(&Outcome::default()), "");
    let blocked = [("llama".to_owned(), "denied".to_owned())].into();
    let outcome = Outcome { blocked, released: vec!["qwen".to_owned()], ..Outcome::default() };
    let expected = format!("0: tell 1 events\n1: {}, after 0..1\n", not_given_back("pool llama: denied"));
    assert_eq!(deletion(&outcome), expected);
    let mut outcome = Outcome { still_held: Some("qwen".to_owned()), ..Outcome::default() };
    let held = not_given_back("pool qwen: it still carries our record or reference");
    assert_eq!(deletion(&outcome), format!("0: {held}\n"));
    // The caches will come to know of what was done just now.
    outcome.released = vec!["qwen".to_owned()];
    assert_eq!(deletion(&outcome), "0: tell 1 events\n");
    let outcome = Outcome { unfinished: Some("no answer".to_owned()), ..Outcome::default() };
    assert_eq!(deletion(&outcome), format!("0: {}\n", not_given_back("the finalizer: no answer")));
}

/// Pickers that are gone lose their entry; those that the cache does not know yet are asked for.
#[test]
fn entries_of_pickers_without_a_pod_are_looked_at() {
    let (mut snapshot, outcome) = well();
    let entries = &mut Arc::make_mut(&mut snapshot.strategy).status.as_mut().unwrap().pickers;
    entries.insert("p-3".to_owned(), crds::PickerStatus::default());
    entries.insert("no pod".to_owned(), crds::PickerStatus::default());
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let plan = report(&snapshot, &valid, &outcome, at(0)).unwrap();
    let [Step { action: Action::Report(report), .. }] = plan.steps.as_slice() else { panic!("{plan}") };
    assert_eq!(
        (&report.patch["pickers"], &report.unseen),
        (&json!({"no pod": null}), &vec!["p-3".to_owned()])
    );
    // Those that follow another strategy now have theirs there; others than the operator's are of whom they like.
    snapshot.owned.clear();
    let mut own = (*picker("p-2")).clone();
    own.labels.remove(names::MANAGED_BY);
    snapshot.pods[1] = Arc::new(own);
    let passed = |snapshot: &Snapshot| {
        let plan = super::report(snapshot, &valid, &outcome, at(0)).unwrap();
        let [Step { action: Action::Report(report), .. }] = plan.steps.as_slice() else { panic!("{plan}") };
        report.patch["pickers"].clone()
    };
    assert_eq!(passed(&snapshot), json!({"no pod": null, "p-1": null}));
    // The cache of pods may be ahead of that of Deployments.
    snapshot.remembered.made = [(Kind::Deployment, "qwen-picker".to_owned())].into();
    assert_eq!(passed(&snapshot), json!({"no pod": null}));
}

/// Before release 1.32 the kubelet tells the error of an image only between two pauses.
#[test]
fn a_detail_that_is_told_at_times_stays() {
    let (mut snapshot, outcome) = incomplete(json!([]));
    let waiting = |reason: &str, message: &str| {
        let [container, image, reason, message] = ["picker", "x", reason, message].map(str::to_owned);
        let kind = crate::cache::ProblemKind::Waiting { container, image, reason, message };
        let mut pod = (*picker("p-3")).clone();
        (pod.ready, pod.problem) =
            (false, Some(Box::new(crate::cache::PodProblem { created: 1, since: 1, kind })));
        Arc::new(pod)
    };
    let mut message = |reason: &str, words: &str| {
        snapshot.pods = vec![waiting(reason, words)];
        let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
        let status = compute(&snapshot, &valid, &outcome, at(0));
        Arc::make_mut(&mut snapshot.strategy).status = Some(status.clone());
        status.pools[0].message.clone().unwrap()
    };
    let pause = "image x can't be pulled; correct the operator's --picker-image (pickerImage of its chart)";
    let error = "image x can't be pulled: not found; correct the operator's --picker-image (pickerImage of its chart)";
    assert_eq!(message("ImagePullBackOff", "Back-off pulling image \"x\""), pause);
    assert_eq!(message("ErrImagePull", "not found"), error);
    assert_eq!(message("ImagePullBackOff", "Back-off pulling image \"x\""), error);
}
