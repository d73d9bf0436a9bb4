//! Whole plans, for worlds of one strategy and a pool or two. No client is in sight.

use std::sync::Arc;

use crds::PickerRef;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::names::{self, FINALIZER, MANAGER};
use crate::strategy::record::{ANNOTATION, Record};
use crate::strategy::testing::{defaults, former_owner, pool, rights, snapshot, strategy};
use crate::strategy::validate::validate;

/// The plan of `world` at second 0, as text.
fn planned(world: &Snapshot) -> String {
    let valid = validate(world, &defaults(), |_| Ok([].into()));
    plan(world, &valid, Timestamp::UNIX_EPOCH).to_string()
}

fn spec(world: &mut Snapshot, spec: Value) {
    let former = world.strategy.metadata.clone();
    let mut next = strategy(spec);
    next.metadata = former;
    world.strategy = Arc::new(next);
}

/// `world` after everything of its plan was made, and the pickers answer.
fn made(mut world: Snapshot) -> Snapshot {
    let objects = validate(&world, &defaults(), |_| Ok([].into())).picker.unwrap();
    let all = objects.workloads.into_values().flatten().chain(objects.rights);
    world.owned = all
        .map(|object| {
            let mut live = object.content;
            live.metadata.uid = Some(format!("uid-{:?}", object.kind));
            live.metadata.resource_version = Some("7".to_owned());
            if object.kind == Kind::Deployment {
                live.metadata.generation = Some(1);
                live.data["status"] = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2,
                    "readyReplicas": 2, "availableReplicas": 2});
            }
            (object.kind, Arc::new(live))
        })
        .collect();
    world.owned.push((Kind::ControllerRevision, Arc::new(slot(0, 1, &world))));
    world
}

/// Slot `index` of the history, with the routing of `world` as `number`.
fn slot(index: usize, number: i64, world: &Snapshot) -> DynamicObject {
    let routing = &world.strategy.spec.routing.0;
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("chat-routing-{index}"), "namespace": "llm",
            "labels": {
                names::MANAGED_BY: names::MANAGED_BY_WAYPOST, names::STRATEGY: "chat", names::STRATEGY_UID: "uid-chat",
                "waypost.dev/revision": picker_core::config::revision(routing),
            },
        },
        "revision": number, "data": crate::cache::revision_in_cache(routing),
    }))
    .unwrap()
}

/// `world` after its pool was taken from the picker old-epp, which helm had set.
fn taken(world: Snapshot) -> Snapshot {
    let mut world = made(world);
    Arc::make_mut(&mut world.strategy).metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    world.pools = vec![Arc::new(taken_pool("qwen"))];
    world
}

fn taken_pool(name: &str) -> crds::Pool {
    let before = pool(name, "old-epp");
    let mut bound = pool(name, &format!("{name}-picker"));
    let ours = PickerRef::service(&format!("{name}-picker"), 9002, "FailOpen").write(bound.group);
    bound.stored_ref = Some(ours.clone());
    let record = Record {
        strategy: "chat".to_owned(),
        applied: ours,
        previous: before.stored_ref.unwrap(),
        manager: Some("helm".to_owned()),
        ..Record::default()
    };
    bound.metadata.annotations = Some([(ANNOTATION.to_owned(), record.write().unwrap())].into());
    bound.metadata.managed_fields = serde_json::from_value(json!([
        {"manager": MANAGER, "operation": "Apply", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:endpointPickerRef": {"f:name": {}, "f:failureMode": {}}}}},
        {"manager": "helm", "operation": "Update", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:selector": {}}}},
    ]))
    .unwrap();
    bound
}

/// What is made is there before anything refers to it, and the pool is not taken before a picker answers.
#[test]
fn create() {
    insta::assert_snapshot!(planned(&snapshot()));
}

/// Pickers that ask who reads their metrics may do so from their start, and the promise to clean up comes first.
#[test]
fn create_with_a_right_of_the_cluster() {
    let mut world = snapshot();
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": {"metrics": {"auth": true}}}));
    insta::assert_snapshot!(planned(&world));
}

#[test]
fn create_for_two_pools() {
    let mut world = snapshot();
    spec(&mut world, json!({"pools": [{"selector": {}}], "picker": {"replicas": 1}}));
    world.pools.push(Arc::new(pool("llama", "old-epp")));
    insta::assert_snapshot!(planned(&world));
}

/// Nothing but the objects of the validated spec is made, and each of them.
#[test]
fn what_is_made_is_what_the_spec_asks_for() {
    let world = snapshot();
    let valid = validate(&world, &defaults(), |_| Ok([].into()));
    let plan = plan(&world, &valid, Timestamp::UNIX_EPOCH);
    let made = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Make { object, .. } => Some(&**object),
        _ => None,
    });
    let wanted = valid.picker.unwrap();
    assert_eq!(made.collect::<Vec<_>>(), wanted.workloads["qwen-picker"].iter().collect::<Vec<_>>());
}

/// An edit of the routing is kept, and rolls nothing.
#[test]
fn edit_of_the_routing() {
    let mut world = taken(snapshot());
    let routing = json!({"plugins": [{"type": "queue-scorer"}],
        "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": "queue-scorer"}]}]});
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "routing": routing}));
    insta::assert_snapshot!(planned(&world));
}

/// One replica needs no PodDisruptionBudget; the failure mode is the pool's.
#[test]
fn edit_of_the_picker() {
    let mut world = taken(snapshot());
    let picker = json!({"replicas": 1, "failureMode": "FailClose"});
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": picker}));
    insta::assert_snapshot!(planned(&world));
}

/// The replicas stay while the field passes to the autoscaler.
#[test]
fn edit_to_an_autoscaler() {
    let mut world = taken(snapshot());
    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 4, "targetCPUUtilizationPercentage": 80});
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": {"autoscaling": autoscaling}}));
    insta::assert_snapshot!(planned(&world));
}

/// It comes before pods change, rolls none of them, and goes when it is not asked for any more.
#[test]
fn edit_of_the_network_policy() {
    let mut world = taken(snapshot());
    let policy = |gateway: &str| {
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": gateway}});
        json!({"networkPolicy": {"gateways": [{"namespaceSelector": selector}]}})
    };
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": policy("gateways")}));
    insta::assert_snapshot!("network_policy_made", planned(&world));

    let mut world = taken(world);
    assert_eq!(planned(&world), "pool qwen: Bound\n");
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": policy("others")}));
    insta::assert_snapshot!("network_policy_changed", planned(&world));
    spec(&mut world, json!({"pools": [{"name": "qwen"}]}));
    insta::assert_snapshot!("network_policy_removed", planned(&world));
    // What is wrong changes nothing.
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": policy("no such")}));
    assert_eq!(planned(&world), "pool qwen: Bound\n");
}

/// Of a new strategy, the pickers come after it.
#[test]
fn create_with_a_network_policy() {
    let mut world = snapshot();
    let policy = json!({"gateways": [{"podSelector": {}}]});
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": {"networkPolicy": policy}}));
    insta::assert_snapshot!(planned(&world));
}

#[test]
fn take_over() {
    let mut world = made(snapshot());
    let mut former = pool("qwen", "old-epp");
    former.metadata.managed_fields = serde_json::from_value(json!([{
        "manager": "helm", "operation": "Update", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:endpointPickerRef": {"f:name": {}}}},
    }]))
    .unwrap();
    world.pools = vec![Arc::new(former)];
    insta::assert_snapshot!(planned(&world));
}

#[test]
fn nothing_at_rest() {
    assert_eq!(planned(&taken(snapshot())), "pool qwen: Bound\n");
}

/// What others changed is put back, and what they added is taken out of the state that was seen.
#[test]
fn drift_is_put_back() {
    let mut world = taken(snapshot());
    for (kind, live) in &mut world.owned {
        let live = Arc::make_mut(live);
        match kind {
            Kind::Deployment => live.data["spec"]["paused"] = true.into(),
            Kind::Role => live.data["rules"] = json!([]),
            Kind::RoleBinding => live.data["roleRef"]["name"] = "another".into(),
            _ => {}
        }
    }
    insta::assert_snapshot!(planned(&world));
}

/// The pool is given back at once; its pickers serve on while gateways follow.
#[test]
fn give_back() {
    let mut world = taken(snapshot());
    spec(&mut world, json!({"pools": []}));
    insta::assert_snapshot!(planned(&world));
    // Another look finds the pool as it was: nothing refers to the pickers, the strategy holds no pool any more.
    world.pools = vec![Arc::new(pool("qwen", "old-epp"))];
    insta::assert_snapshot!("given_back", planned(&world));
}

#[test]
fn give_back_what_another_strategy_has_now() {
    let mut world = taken(snapshot());
    let mut elder = strategy(json!({"pools": [{"name": "qwen"}]}));
    elder.metadata.name = Some("elder".to_owned());
    elder.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    world.others = vec![Arc::new(elder)];
    insta::assert_snapshot!(planned(&world));
}

#[test]
fn delete() {
    let mut world = taken(snapshot());
    insta::assert_snapshot!(plan_deletion(&world).to_string());
    // Nothing was ever taken: the strategy is not held.
    Arc::make_mut(&mut world.strategy).metadata.finalizers = None;
    assert_eq!(plan_deletion(&world), Plan::default());
}

/// The record of a pool was lost, or is that of a strategy which is gone: both are ours to give back from now on.
#[test]
fn adopt() {
    let mut world = taken(snapshot());
    let mut lost = taken_pool("qwen");
    lost.metadata.annotations = None;
    world.pools = vec![Arc::new(lost)];
    insta::assert_snapshot!("adopt_without_a_record", planned(&world));

    let mut of_a_former = taken_pool("qwen");
    let record = Record { strategy: "gone".to_owned(), ..Record::read(&of_a_former).unwrap() };
    of_a_former.metadata.annotations = Some([(ANNOTATION.to_owned(), record.write().unwrap())].into());
    world.pools = vec![Arc::new(of_a_former)];
    insta::assert_snapshot!("adopt_from_a_former_strategy", planned(&world));
}

/// Objects that an earlier release made have owner references, and are rewritten without them; no pod is replaced.
#[test]
fn upgrade_from_owner_references() {
    let mut world = taken(snapshot());
    for (_, live) in &mut world.owned {
        let live = Arc::make_mut(live);
        live.metadata.owner_references =
            Some(vec![serde_json::from_value(former_owner("chat", "uid-chat")).unwrap()]);
        live.metadata
            .annotations
            .get_or_insert_default()
            .insert("waypost.dev/applied".to_owned(), "former".to_owned());
    }
    Arc::make_mut(&mut world.owned.last_mut().unwrap().1)
        .metadata
        .labels
        .as_mut()
        .unwrap()
        .remove(names::STRATEGY_UID);
    // Nothing was ever taken by one that observes, so that an earlier release gave it no finalizer.
    Arc::make_mut(&mut world.strategy).metadata.finalizers = None;
    insta::assert_snapshot!(planned(&world));
}

/// `kubectl expose` gives a Service the labels of the Deployment.
#[test]
fn what_has_only_the_labels_is_not_deleted() {
    let mut world = taken(snapshot());
    let (_, service) = world.owned.iter().find(|(kind, _)| *kind == Kind::Service).unwrap().clone();
    let before = (planned(&world), plan_deletion(&world));
    let mut exposed = (*service).clone();
    exposed.metadata.name = Some("debug".to_owned());
    exposed.metadata.annotations = None;
    world.owned.push((Kind::Service, Arc::new(exposed)));
    assert_eq!((planned(&world), plan_deletion(&world)), before);
}

/// A strategy that is deleted so that what was made for it stays gives its pools back, and that is all.
#[test]
fn delete_with_orphans() {
    let mut world = taken(snapshot());
    world.orphans = true;
    insta::assert_snapshot!(plan_deletion(&world).to_string());
}

#[test]
fn objects_of_others_are_not_touched() {
    let mut world = taken(snapshot());
    for (kind, live) in &mut world.owned {
        if [Kind::Service, Kind::Role].contains(kind) {
            let metadata = &mut Arc::make_mut(live).metadata;
            (metadata.labels, metadata.annotations) = (None, None);
        }
    }
    let expected = "pool qwen: Bound\nqwen-picker: Role and Service qwen-picker are not this strategy's; rename or delete \
                    them\n";
    assert_eq!(planned(&world), expected);
}

/// Pools whose API is not installed are not known to be gone.
#[test]
fn nothing_goes_while_pools_are_not_known() {
    let mut world = taken(snapshot());
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": {"metrics": {"auth": true}}}));
    world.owned.push((Kind::ClusterRoleBinding, Arc::new(rights("chat"))));
    world.pools.clear();
    world.unserved = vec![crds::PoolGroup::V1];
    assert_eq!(planned(&world), "");
    world.unserved.clear();
    insta::assert_snapshot!(planned(&world));
}

/// Nothing is written while it is paused but what was accepted, which pickers take up.
#[test]
fn paused() {
    let routing = json!({"plugins": [{"type": "queue-scorer"}]});
    let edited = |paused: Value| {
        let mut world = taken(snapshot());
        let picker = json!({"replicas": 1, "failureMode": "FailClose"});
        spec(
            &mut world,
            json!({"pools": [{"name": "qwen"}], "picker": picker, "routing": routing, "paused": paused}),
        );
        planned(&world)
    };
    insta::assert_snapshot!("paused_workload", edited(json!(true)));
    insta::assert_snapshot!(
        "paused_workload_and_routing",
        edited(json!({"workload": true, "routing": true}))
    );
    insta::assert_snapshot!("paused_routing", edited(json!({"routing": true})));
    assert_eq!(edited(json!(false)), edited(Value::Null));
    // A strategy without a history takes its first routing.
    let mut world = snapshot();
    let both = json!({"workload": true, "routing": true});
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "routing": routing, "paused": both}));
    assert!(planned(&world).starts_with("0: add the finalizer\n1: keep "), "{}", planned(&world));
    // At rest nothing waits.
    let mut world = taken(snapshot());
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "paused": true}));
    assert_eq!(planned(&world), "pool qwen: Bound\n");
}

/// A strategy that is deleted gives its pools back, paused or not.
#[test]
fn a_paused_strategy_can_be_deleted() {
    let mut world = taken(snapshot());
    let expected = plan_deletion(&world);
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "paused": {"workload": true, "routing": true}}));
    assert_eq!(plan_deletion(&world), expected);
}

#[test]
fn a_wrong_picker_leaves_the_running_one() {
    let mut world = taken(snapshot());
    let picker = json!({"replicas": 1, "podTemplate": {"spec": {"hostNetwork": true}}});
    spec(&mut world, json!({"pools": [{"name": "qwen"}], "picker": picker}));
    assert_eq!(planned(&world), "pool qwen: Bound\n");
}

/// What a new release of the operator would roll waits for its turn, or, by policy, for somebody to ask.
#[test]
fn upgrade() {
    let mut world = taken(snapshot());
    let mut newer = defaults();
    newer.image = "waypost/picker:0.2.0".to_owned();
    let upgraded = |world: &Snapshot| {
        plan(world, &validate(world, &newer, |_| Ok([].into())), Timestamp::UNIX_EPOCH).to_string()
    };
    insta::assert_snapshot!(upgraded(&world));
    Arc::make_mut(&mut world.strategy).spec.picker.update_policy = crds::UpdatePolicy::Manual;
    let expected = "pool qwen: Bound\nqwen-picker stays as an earlier release built it\n";
    assert_eq!(upgraded(&world), expected);
}

/// A strategy of another name that claims the same pool, made later.
fn renamed() -> crds::RoutingStrategy {
    let mut next = strategy(json!({"pools": [{"name": "qwen"}]}));
    next.metadata.name = Some("talk".to_owned());
    next.metadata.uid = Some("uid-talk".to_owned());
    next.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-03T00:00:00Z")).unwrap();
    next
}

/// Renamed: the old one gives nothing back and deletes nothing while the new one may take it as it is.
#[test]
fn hand_over_when_deleted() {
    let mut world = taken(snapshot());
    world.others = vec![Arc::new(renamed())];
    insta::assert_snapshot!(plan_deletion(&world).to_string());
    // Where the pool names the picker by its owner's will, there is nothing to give back, and the pickers pass on.
    let mut own = pool("qwen", "qwen-picker");
    own.metadata.annotations = None;
    world.pools = vec![Arc::new(own)];
    insta::assert_snapshot!("hand_over_what_was_not_taken", plan_deletion(&world).to_string());
}

/// So does one that lives on and claims the pool no more.
#[test]
fn hand_over_when_unclaimed() {
    let mut world = taken(snapshot());
    world.others = vec![Arc::new(renamed())];
    spec(&mut world, json!({"pools": []}));
    insta::assert_snapshot!(planned(&world));
}

/// The new one takes the objects, whose pods stay, and then the pool with the record of what was there before both.
#[test]
fn take_from_a_strategy_that_goes() {
    let mut old = taken(snapshot());
    let going = Arc::make_mut(&mut old.strategy);
    going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-04T00:00:00Z")).unwrap();
    let mut world =
        Snapshot { strategy: Arc::new(renamed()), others: vec![old.strategy.clone()], ..old.clone() };
    Arc::make_mut(&mut world.strategy).metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    world.owned.retain(|(kind, _)| *kind != Kind::ControllerRevision);
    let text = planned(&world);
    insta::assert_snapshot!(text);

    let valid = validate(&world, &defaults(), |_| Ok([].into()));
    let wanted = valid.picker.unwrap().workloads.remove("qwen-picker").unwrap();
    for (kind, live) in &mut world.owned {
        let object = wanted.iter().find(|object| object.kind == *kind).unwrap();
        let live = Arc::make_mut(live);
        live.metadata.labels = object.content.metadata.labels.clone();
        live.metadata.annotations = object.content.metadata.annotations.clone();
        for (field, value) in object.content.data.as_object().unwrap() {
            if field != "status" {
                live.data[field] = value.clone();
            }
        }
    }
    insta::assert_snapshot!("take_the_pool_of_a_strategy_that_goes", planned(&world));
}
