//! What a status says of a paused strategy.

use super::*;
use crate::strategy::event::StrategyEvent;

/// What stands still is said, and what waits for its end; what is not written is not ready.
#[test]
fn a_paused_strategy_says_what_waits() {
    let (mut snapshot, mut outcome) = well();
    let paused = |snapshot: &mut Snapshot, value: Value| {
        Arc::make_mut(&mut snapshot.strategy).spec.paused = crds::Paused::read(&value);
    };
    let computed = |snapshot: &Snapshot, outcome: &Outcome| {
        compute(snapshot, &validate(snapshot, &defaults(), |_| Ok([].into())), outcome, at(0))
    };
    let running = computed(&snapshot, &outcome);
    assert!(!running.conditions.iter().any(|c| c.type_ == "Paused"));
    paused(&mut snapshot, json!(true));
    let status = computed(&snapshot, &outcome);
    let message = "nothing is written; pickers serve on, and take edits of the routing up";
    assert_eq!(said(&status, "Paused"), is("True", "Workload", message));
    assert_eq!(said(&status, "Ready").0, "True");
    assert_eq!(events::turned(&running, &status), [StrategyEvent::normal("Paused", message)]);
    let resumed = [StrategyEvent::normal("Resumed", "nothing is paused any more")];
    assert_eq!(events::turned(&status, &running), resumed);

    outcome.frozen = ["bind pool qwen", "alter a", "alter b"].map(str::to_owned).into();
    let status = computed(&snapshot, &outcome);
    let waits = "waits for the end of spec.paused: bind pool qwen; alter a and 1 more";
    assert_eq!(said(&status, "Paused").2, format!("{message}; {waits}"));
    assert_eq!(said(&status, "Ready"), is("False", "Paused", waits));
    assert!(!status.conditions.iter().any(|c| c.type_ == "Stalled"));
}

#[test]
fn a_revision_that_is_held_is_not_the_one_of_the_spec() {
    let (mut snapshot, outcome) = well();
    let spec = &mut Arc::make_mut(&mut snapshot.strategy).spec;
    spec.paused = crds::Paused { workload: false, routing: true };
    let asked = picker_core::config::revision(&spec.routing.0);
    snapshot.remembered.kept = Some(KeptRevision { number: 1, revision: "held".to_owned() });
    let valid = validate(&snapshot, &defaults(), |_| Ok([].into()));
    let status = compute(&snapshot, &valid, &outcome, at(0));
    assert_eq!(status.revision.as_deref(), Some("held"));
    let message =
        format!("pickers take no edit of the routing up; revision held stays, and spec.routing is {asked}");
    assert_eq!(said(&status, "Paused"), is("True", "Routing", &message));
    let message = format!("spec.paused holds revision held; spec.routing is {asked}");
    assert_eq!(said(&status, "Programmed"), is("False", "Paused", &message));
    assert_eq!(said(&status, "Ready"), is("False", "Paused", &message));
}
