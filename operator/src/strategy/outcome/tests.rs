use std::sync::Arc;

use kube::core::Status;
use serde_json::json;

use super::*;
use crate::kinds::Object;
use crate::strategy::binding::BindingChange;
use crate::strategy::plan::Wait;
use crate::strategy::record::{ANNOTATION, Record};
use crate::strategy::release::give_back;
use crate::strategy::taken::TakenNames;
use crate::strategy::testing::pool;

fn conflict() -> WriteError {
    WriteError::Api(kube::Error::Api(Box::new(
        Status::failure("changed meanwhile", "Conflict").with_code(409),
    )))
}

/// The outcome of one step.
fn of(action: Action, result: StepResult) -> Outcome {
    let mut plan = Plan::default();
    plan.bindings.insert((PoolGroup::V1, "qwen".to_owned()), BindingState::Bound);
    plan.add(action, Vec::<Wait>::new());
    Outcome::of(&plan, vec![result])
}

fn bind() -> Action {
    let (applied, previous) = (json!({"name": "qwen-picker"}), json!({"name": "old-epp"}));
    let record = Record { applied, previous, ..Record::default() };
    let change = BindingChange::Take { record, force: true };
    Action::Bind { pool: Arc::new(pool("qwen", "old-epp")), change }
}

#[test]
fn a_pool_is_bound_only_when_it_was_written() {
    let state = |result| of(bind(), result).bindings.into_values().next();
    assert_eq!(state(StepResult::Done), Some(BindingState::Bound));
    let elsewhere = "another manager holds the reference of pool qwen".to_owned();
    assert_eq!(state(StepResult::FieldConflict), Some(BindingState::Elsewhere(elsewhere)));
    let waiting = |why: &str| Some(BindingState::Waiting(format!("pool qwen: {why}")));
    assert_eq!(state(StepResult::Refused("not so".to_owned())), waiting("not so"));
    assert_eq!(state(StepResult::Failed(conflict())), waiting("not written yet; trying again"));
    assert_eq!(state(StepResult::Skipped), None);
    let [pool, picker, before] = ["qwen", "qwen-picker", "old-epp"].map(str::to_owned);
    let mode = Some("FailClose".to_owned());
    let bound = BoundPool {
        pool,
        picker,
        before: Some(before),
        former_mode: mode.clone(),
        mode,
        ..BoundPool::default()
    };
    assert_eq!(of(bind(), StepResult::Done).bound, [bound]);
    assert_eq!(of(bind(), StepResult::FieldConflict).bound, []);
}

/// A reference that somebody had put in the place of ours is another piece of news than the first binding.
#[test]
fn a_pool_that_is_taken_again_is_told_from_one_that_is_taken() {
    let mut record = Record { applied: json!({"name": "qwen-picker"}), ..Record::default() };
    let mut contested = pool("qwen", "old-epp");
    let annotation = |record: &Record| Some([(ANNOTATION.to_owned(), record.write().unwrap())].into());
    contested.metadata.annotations = annotation(&record);
    record.flip("helm", k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    let bound = |pool: &Pool| {
        let change = BindingChange::Take { record: record.clone(), force: true };
        of(Action::Bind { pool: Arc::new(pool.clone()), change }, StepResult::Done).bound
    };
    let mode = Some("FailClose".to_owned());
    let [qwen, picker, before, helm] = ["qwen", "qwen-picker", "old-epp", "helm"].map(str::to_owned);
    let retaken = BoundPool {
        pool: qwen,
        picker,
        before: Some(before),
        flipped_by: Some(helm),
        former_mode: mode.clone(),
        mode,
    };
    assert_eq!(bound(&contested), std::slice::from_ref(&retaken));
    // What it was flipped before is no news.
    contested.metadata.annotations = annotation(&record);
    assert_eq!(bound(&contested), [BoundPool { before: None, flipped_by: None, ..retaken }]);
}

#[test]
fn a_pool_that_cannot_be_given_back_is_blocked_but_for_a_conflict() {
    let give = |result| {
        let record = Record { previous: json!({"name": "old-epp"}), ..Record::default() };
        let give = give_back(&Arc::new(pool("qwen", "qwen-picker")), &record);
        of(Action::GiveBack { give, may_give_up: true }, result)
    };
    assert_eq!(give(StepResult::Done).released, ["qwen"]);
    let blocked = |result| give(result).blocked.into_values().collect::<Vec<_>>();
    assert_eq!(blocked(StepResult::Refused("not so".to_owned())), ["not so"]);
    assert_eq!(
        blocked(StepResult::Failed(WriteError::Timeout)),
        ["the API server did not answer within 10 s"]
    );
    assert_eq!(blocked(StepResult::Failed(conflict())), [""; 0]);
    assert_eq!(give(StepResult::GivenUp("no".to_owned())).given_up, [("qwen".to_owned(), "no".to_owned())]);
}

#[test]
fn a_conflict_gives_way_to_any_other_error() {
    let mut plan = Plan::default();
    let results = vec![
        StepResult::Failed(conflict()),
        StepResult::Failed(WriteError::Timeout),
        StepResult::Failed(WriteError::NotLeading),
    ];
    for _ in &results {
        plan.add(Action::AddFinalizer, Vec::new());
    }
    assert!(matches!(Outcome::of(&plan, results).error, Some(WriteError::Timeout)));
}

#[test]
fn what_waits_is_looked_at_again_when_the_first_is_due() {
    let mut plan = Plan::default();
    let object = json!({"metadata": {"name": "qwen-picker"}});
    let object = Object::new(Kind::Service, &object).unwrap();
    let make = Action::Make { workload: "qwen-picker".to_owned(), object: Box::new(object) };
    plan.add(make, Vec::new());
    plan.add(Action::RemoveFinalizer, Vec::new());
    let results = || {
        [StepResult::Taken(TakenNames::one("Service", "x", false)), StepResult::Held(Duration::from_secs(3))]
    };
    let outcome = Outcome::of(&plan, results().into());
    assert_eq!(outcome.again, Some(Duration::from_secs(3)));
    assert_eq!(outcome.taken, [("qwen-picker".to_owned(), TakenNames::one("Service", "x", false))].into());
    assert_eq!(Outcome::of(&plan, vec![StepResult::Done, StepResult::Done]).again, None);
}
