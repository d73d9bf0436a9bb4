use rstest::rstest;
use serde_json::json;

use super::*;
use crate::strategy::record::{ANNOTATION, Flip};
use crate::strategy::testing::pool;
use crds::PoolGroup;

const DAY: i64 = 24 * 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ours() -> PickerRef {
    PickerRef::service("qwen-picker", 9002, "FailOpen")
}

/// A pool that names `reference`, which `manager` holds.
fn named(reference: &PickerRef, manager: &str) -> Pool {
    let mut pool = pool("qwen", "x");
    pool.stored_ref = Some(reference.write(pool.group));
    pool.metadata.managed_fields = serde_json::from_value(json!([{
        "manager": manager, "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:endpointPickerRef": {"f:name": {}}}},
    }]))
    .unwrap();
    pool
}

fn theirs() -> PickerRef {
    PickerRef::service("old-epp", 9002, "FailClose")
}

fn with(mut pool: Pool, record: &Record) -> Pool {
    pool.metadata.annotations = Some([(ANNOTATION.to_owned(), record.write().unwrap())].into());
    pool
}

/// The record of a pool that was taken from `theirs`.
fn taken() -> Record {
    Record {
        strategy: "chat".to_owned(),
        applied: ours().write(Default::default()),
        previous: theirs().write(Default::default()),
        manager: Some("helm".to_owned()),
        ..Record::default()
    }
}

fn ask(pool: &Pool, binding: Binding, available: bool, now: i64) -> Decision {
    ask_remembering(pool, binding, available, now, None)
}

fn ask_remembering(
    pool: &Pool,
    binding: Binding,
    available: bool,
    now: i64,
    remembered: Option<Record>,
) -> Decision {
    let wanted = ours();
    let (strategy, generation, now) = ("chat", 7, at(now));
    decide(&Question { pool, wanted: &wanted, binding, available, strategy, generation, remembered, now })
}

/// A strategy that says nothing of the failure mode.
fn ask_without_mode(pool: &Pool, binding: Binding) -> Decision {
    let wanted = unsaid();
    let (strategy, generation, now, available) = ("chat", 7, at(0), true);
    let remembered = None;
    decide(&Question { pool, wanted: &wanted, binding, available, strategy, generation, remembered, now })
}

/// Our reference, which leaves the failure mode to the pool.
fn unsaid() -> PickerRef {
    PickerRef::service("qwen-picker", 9002, None)
}

#[test]
fn a_pool_is_taken_when_a_picker_answers_and_not_before() {
    let pool = named(&theirs(), "helm");
    let decision = ask(&pool, Binding::Takeover, false, 0);
    assert_eq!(decision.change, BindingChange::Nothing);
    assert!(matches!(decision.state, BindingState::Waiting(_)));
    assert_eq!(
        ask(&pool, Binding::Takeover, true, 0),
        Decision { change: BindingChange::Take { record: taken(), force: true }, state: BindingState::Bound }
    );
}

#[rstest]
#[case(Binding::Takeover)]
#[case(Binding::Cooperative)]
#[case(Binding::Observe)]
fn a_pool_that_names_us_is_bound_and_not_touched(#[case] binding: Binding) {
    let pool = named(&ours(), "kustomize-controller");
    let bound = Decision { change: BindingChange::Nothing, state: BindingState::Bound };
    assert_eq!(ask(&pool, binding, false, 0), bound);
}

#[test]
fn the_first_flip_is_taken_back_and_the_newer_value_remembered() {
    let newer = PickerRef::service("newer-epp", 9002, "FailClose");
    let pool = with(named(&newer, "helm"), &taken());
    let expected = Record {
        previous: newer.write(pool.group),
        flips: vec![Flip { manager: "helm".to_owned(), at: at(100) }],
        ..taken()
    };
    assert_eq!(
        ask(&pool, Binding::Takeover, true, 100),
        Decision {
            change: BindingChange::Take { record: expected, force: true },
            state: BindingState::Bound
        }
    );
}

/// A tool that doesn't mention the failure mode leaves ours in place; that is no value of its own.
#[test]
fn of_a_newer_value_only_what_is_theirs_is_remembered() {
    let newer = PickerRef::service("newer-epp", 9002, "FailOpen");
    let mut pool = with(named(&newer, "helm"), &taken());
    let ours: Vec<_> = serde_json::from_value(json!([{
        "manager": "waypost", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:endpointPickerRef": {"f:failureMode": {}}}},
    }]))
    .unwrap();
    pool.metadata.managed_fields.as_mut().unwrap().extend(ours);
    let BindingChange::Take { record, .. } = ask(&pool, Binding::Takeover, true, 100).change else {
        panic!("not taken")
    };
    assert_eq!(record.previous, PickerRef::service("newer-epp", 9002, "FailClose").write(pool.group));
}

#[test]
fn the_second_flip_within_a_day_is_left() {
    let flips = vec![Flip { manager: "helm".to_owned(), at: at(100) }];
    let pool = with(named(&theirs(), "helm"), &Record { flips: flips.clone(), ..taken() });
    let decision = ask(&pool, Binding::Takeover, true, 100 + DAY - 1);
    let BindingChange::Leave { record } = decision.change else { panic!("{decision:?}") };
    assert_eq!(record.left, Some(Left { manager: "helm".to_owned(), generation: 7 }));
    let BindingState::Contested(message) = decision.state else { panic!("{:?}", decision.state) };
    assert_eq!(
        message,
        "helm sets endpointPickerRef of pool qwen back; by the values of the chart set endpointPickerRef: \
         {name: qwen-picker, port: {number: 9002}, failureMode: FailOpen}"
    );
    // A day later it is a first flip again, and of another manager it always was.
    assert!(matches!(ask(&pool, Binding::Takeover, true, 100 + DAY).change, BindingChange::Take { .. }));
    let pool = with(named(&theirs(), "kubectl-edit"), &Record { flips, ..taken() });
    assert!(matches!(ask(&pool, Binding::Takeover, true, 200).change, BindingChange::Take { .. }));
}

/// A tool that replaces the whole object takes the record along.
#[test]
fn a_flip_counts_also_when_the_record_is_lost() {
    let flips = vec![Flip { manager: "helm".to_owned(), at: at(100) }];
    let remembered = Some(Record { flips, ..taken() });
    let decision = ask_remembering(&named(&theirs(), "helm"), Binding::Takeover, true, 200, remembered);
    assert!(matches!(decision.change, BindingChange::Leave { .. }), "{decision:?}");
}

#[test]
fn what_was_left_stays_left_until_somebody_changes_something() {
    let left = |generation| {
        let left = Some(Left { manager: "helm".to_owned(), generation });
        with(named(&theirs(), "helm"), &Record { left, ..taken() })
    };
    let decision = ask(&left(7), Binding::Takeover, true, 100 * DAY);
    assert_eq!(decision.change, BindingChange::Nothing);
    assert!(matches!(decision.state, BindingState::Contested(_)));
    // A newer strategy tries again.
    assert!(matches!(ask(&left(6), Binding::Takeover, true, 0).change, BindingChange::Take { .. }));
    // The other manager names us now: nothing of ours has to stay.
    let record = Record { left: Some(Left { manager: "helm".to_owned(), generation: 7 }), ..taken() };
    let decision = ask(&with(named(&ours(), "helm"), &record), Binding::Takeover, true, 0);
    assert_eq!(decision, Decision { change: BindingChange::Forget, state: BindingState::Bound });
}

/// Without a record the pool could never be given back, and the finalizer would be taken away.
#[test]
fn a_record_that_was_lost_is_written_again_where_the_reference_is_ours() {
    let held = named(&ours(), "waypost");
    let recall =
        |record: Record| Decision { change: BindingChange::Recall { record }, state: BindingState::Bound };
    let unknown = Record { previous: Value::Null, manager: None, ..taken() };
    let mut unreadable = held.clone();
    unreadable.metadata.annotations = Some([(ANNOTATION.to_owned(), "{".to_owned())].into());
    for pool in [&held, &unreadable] {
        assert_eq!(ask(pool, Binding::Takeover, false, 0), recall(unknown.clone()));
        let decision = ask_remembering(pool, Binding::Takeover, false, 0, Some(taken()));
        assert_eq!(decision, recall(taken()));
        assert_eq!(ask(pool, Binding::Observe, true, 0).change, BindingChange::Nothing);
    }
    assert_eq!(ask(&with(held.clone(), &taken()), Binding::Takeover, true, 0).change, BindingChange::Nothing);
    // Of a strategy that this one has replaced, once its own pickers answer.
    let former = with(held, &Record { strategy: "gone".to_owned(), ..taken() });
    assert_eq!(ask(&former, Binding::Takeover, true, 0), recall(taken()));
    assert_eq!(ask(&former, Binding::Takeover, false, 0).change, BindingChange::Nothing);
}

#[test]
fn our_own_change_is_no_flip() {
    let before = PickerRef::service("qwen-picker", 9002, "FailClose");
    let record = Record { applied: before.write(Default::default()), ..taken() };
    let decision = ask(&with(named(&before, "waypost"), &record), Binding::Takeover, true, 0);
    assert_eq!(decision.change, BindingChange::Take { record: taken(), force: true });
}

/// Whoever replaces the failure mode after we wrote ours keeps it, and the pool is bound: requests go where they should.
#[rstest]
#[case::taken(Binding::Takeover, Some(taken()))]
#[case::cooperative(Binding::Cooperative, Some(taken()))]
#[case::by_its_owner(Binding::Cooperative, None)]
#[case::observed(Binding::Observe, None)]
fn another_failure_mode_is_a_warning_with_the_line_to_add(
    #[case] binding: Binding,
    #[case] record: Option<Record>,
) {
    let mut pool = named(&PickerRef::service("qwen-picker", 9002, "FailClose"), "helm");
    pool.metadata.managed_fields.as_mut().unwrap().extend(
        serde_json::from_value::<Vec<_>>(json!([{
            "manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:endpointPickerRef": {"f:failureMode": {}}}},
        }]))
        .unwrap(),
    );
    if let Some(record) = record {
        pool = with(pool, &record);
    }
    let warning = "pool qwen has failureMode FailClose, set by kubectl-edit, and spec.picker says FailOpen; add \
                   failureMode: FailOpen to its endpointPickerRef there, or leave it out of spec.picker";
    let state = BindingState::OtherMode(warning.to_owned());
    for now in [5, 6, 7] {
        assert_eq!(
            ask(&pool, binding, true, now),
            Decision { change: BindingChange::Nothing, state: state.clone() }
        );
    }
    let bound = Decision { change: BindingChange::Nothing, state: BindingState::Bound };
    assert_eq!(ask_without_mode(&pool, binding), bound);
}

/// What was left to another that now names our Service is its owner's, with whatever failure mode; and one with the port
/// missing is told of the port.
#[test]
fn a_pool_that_was_left_is_bound_when_its_reference_is_right() {
    let record = Record { left: Some(Left { manager: "helm".to_owned(), generation: 7 }), ..taken() };
    let named =
        |port, mode: &str| with(named(&PickerRef::service("qwen-picker", port, mode), "helm"), &record);
    let decision = ask(&named(9002, "FailClose"), Binding::Takeover, true, 0);
    assert_eq!(decision.change, BindingChange::Forget);
    assert!(matches!(decision.state, BindingState::OtherMode(_)), "{decision:?}");
    let decision = ask_without_mode(&named(9002, "FailClose"), Binding::Takeover);
    assert_eq!(decision, Decision { change: BindingChange::Forget, state: BindingState::Bound });
    let decision = ask(&named(9003, "FailOpen"), Binding::Takeover, true, 0);
    let message = "pool qwen names qwen-picker with another port; set it to 9002".to_owned();
    let state = BindingState::WrongPort(message);
    assert_eq!(decision, Decision { change: BindingChange::Nothing, state });
}

/// Another port is another place, and putting it back has an end.
#[test]
fn a_changed_port_is_a_flip() {
    let elsewhere = PickerRef::service("qwen-picker", 9003, "FailOpen");
    let pool = with(named(&elsewhere, "kubectl-edit"), &taken());
    let flips = vec![Flip { manager: "kubectl-edit".to_owned(), at: at(5) }];
    let once = Record { flips, ..taken() };
    let decision = ask(&pool, Binding::Takeover, true, 5);
    assert_eq!(decision.change, BindingChange::Take { record: once.clone(), force: true });
    let decision = ask(&with(pool, &once), Binding::Takeover, true, 6);
    assert!(matches!(decision.change, BindingChange::Leave { .. }), "{decision:?}");
}

/// The strategy's author changes the failure mode: it is written, also when no picker answers, which is when it matters.
#[test]
fn an_edit_of_the_failure_mode_is_written_at_once() {
    let before = PickerRef::service("qwen-picker", 9002, "FailClose");
    let record = Record { applied: before.write(Default::default()), ..taken() };
    let pool = with(named(&before, "waypost"), &record);
    for available in [true, false] {
        let decision = ask(&pool, Binding::Takeover, available, 0);
        assert_eq!(decision.change, BindingChange::Take { record: taken(), force: true });
    }
    let decision = ask(&pool, Binding::Cooperative, true, 0);
    assert_eq!(decision.change, BindingChange::Take { record: taken(), force: false });
}

/// Left out, the failure mode is the pool's: it is not written, so that nobody's apply is in conflict with us.
#[test]
fn a_failure_mode_that_is_left_out_stays_as_the_pool_has_it() {
    let group = PoolGroup::V1;
    let take = |record| BindingChange::Take { record, force: true };
    let record = Record { applied: unsaid().write(group), ..taken() };
    assert_eq!(record.applied.get("failureMode"), None);
    let free_of_it = ask_without_mode(&named(&theirs(), "helm"), Binding::Takeover);
    assert_eq!(free_of_it.change, take(record.clone()));
    // Its owner changes it while it is ours: nothing to do, and nothing to say.
    for mode in ["FailOpen", "FailClose"] {
        let bound = with(named(&PickerRef::service("qwen-picker", 9002, mode), "waypost"), &record);
        let expected = Decision { change: BindingChange::Nothing, state: BindingState::Bound };
        assert_eq!(ask_without_mode(&bound, Binding::Takeover), expected, "{mode}");
    }
    // Our reference is replaced: that is a flip, though we had applied no failure mode.
    let flipped = with(named(&theirs(), "helm"), &record);
    let flips = vec![Flip { manager: "helm".to_owned(), at: at(0) }];
    assert_eq!(ask_without_mode(&flipped, Binding::Takeover).change, take(Record { flips, ..record }));
    // A pool that named no picker had none.
    let mut free = pool("qwen", "x");
    free.stored_ref = None;
    let BindingChange::Take { record, .. } = ask_without_mode(&free, Binding::Takeover).change else {
        panic!("not taken")
    };
    assert_eq!(record.applied, ours().write(group));
}

/// One that we wrote for an earlier spec stays, held by us: letting go of it would have the API server put its default
/// there.
#[test]
fn a_failure_mode_that_is_taken_out_of_the_spec_stays_on_the_pool() {
    let mut pool = with(named(&ours(), "waypost"), &taken());
    let fields = json!({"f:spec": {"f:endpointPickerRef": {"f:name": {}, "f:failureMode": {}}}});
    pool.metadata.managed_fields.as_mut().unwrap()[0].fields_v1 = serde_json::from_value(fields).unwrap();
    let bound = Decision { change: BindingChange::Nothing, state: BindingState::Bound };
    assert_eq!(ask_without_mode(&pool, Binding::Takeover), bound);
    // A record that was lost is written again with it.
    pool.metadata.annotations = None;
    let unknown = Record { previous: Value::Null, manager: None, ..taken() };
    let recall = Decision { change: BindingChange::Recall { record: unknown }, state: BindingState::Bound };
    assert_eq!(ask_without_mode(&pool, Binding::Takeover), recall);
}

#[test]
fn a_pool_of_a_strategy_that_is_gone_keeps_its_former_picker() {
    let other = PickerRef::service("qwen-picker", 9002, "FailClose");
    let record = Record { strategy: "gone".to_owned(), applied: other.write(Default::default()), ..taken() };
    let decision = ask(&with(named(&other, "waypost"), &record), Binding::Takeover, true, 0);
    assert_eq!(decision.change, BindingChange::Take { record: taken(), force: true });
}

#[test]
fn cooperation_leaves_what_another_holds() {
    let decision = ask(&named(&theirs(), "helm"), Binding::Cooperative, true, 0);
    assert_eq!(decision.change, BindingChange::Nothing);
    assert_eq!(
        decision.state,
        BindingState::Elsewhere(
            "pool qwen names Service old-epp, set by helm; set endpointPickerRef: {name: qwen-picker, port: {number: \
             9002}, failureMode: FailOpen}, or use binding: Takeover"
                .to_owned()
        )
    );
    let mut free = pool("qwen", "x");
    free.stored_ref = None;
    let decision = ask(&free, Binding::Cooperative, true, 0);
    assert!(matches!(decision.change, BindingChange::Take { force: false, .. }), "{decision:?}");
}

#[test]
fn observing_writes_nothing() {
    let other_port = PickerRef::service("qwen-picker", 9003, "FailOpen");
    for (pool, bound) in [
        (named(&theirs(), "helm"), false),
        (named(&other_port, "helm"), false),
        (named(&ours(), "helm"), true),
        (with(named(&theirs(), "helm"), &taken()), false),
    ] {
        let decision = ask(&pool, Binding::Observe, true, 0);
        assert_eq!(decision.change, BindingChange::Nothing);
        assert_eq!(decision.state == BindingState::Bound, bound, "{decision:?}");
    }
    let decision = ask(&named(&other_port, "helm"), Binding::Observe, true, 0);
    assert!(matches!(decision.state, BindingState::WrongPort(_)));
}

#[test]
fn pools_of_kserve_are_not_taken() {
    let mut pool = named(&theirs(), "llmisvc-controller");
    pool.metadata.owner_references = serde_json::from_value(
        json!([{"apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService", "name": "x", "uid": "u"}]),
    )
    .unwrap();
    let decision = ask(&pool, Binding::Takeover, true, 0);
    assert_eq!(decision.change, BindingChange::Nothing);
    let BindingState::Elsewhere(message) = decision.state else { panic!("{decision:?}") };
    assert!(message.contains("router.scheduler.pool.ref"), "{message}");
}
