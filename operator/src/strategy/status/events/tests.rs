use serde_json::json;

use super::*;

fn status(revision: &str, conditions: &[(&str, &str, &str, &str)]) -> RoutingStrategyStatus {
    let conditions: Vec<_> = conditions
        .iter()
        .map(|(name, status, reason, message)| {
            json!({"type": name, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        })
        .collect();
    serde_json::from_value(json!({"observedGeneration": 7, "revision": revision, "conditions": conditions}))
        .unwrap()
}

#[test]
fn a_bound_pool_is_told_with_what_it_had_before() {
    let told = |former: Option<&str>, former_mode: Option<&str>, mode: &str| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let bound = BoundPool {
            name: "qwen".to_owned(),
            former: text(former),
            former_mode: text(former_mode),
            mode: text(Some(mode)),
        };
        pools(&Outcome { bound: vec![bound], ..Outcome::default() }).remove(0).note
    };
    assert_eq!(
        [
            told(Some("old-epp"), Some("FailClose"), "FailClose"),
            told(Some("old-epp"), Some("FailClose"), "FailOpen"),
            told(None, Some("FailOpen"), "FailClose"),
            told(None, None, "FailOpen"),
        ],
        [
            "pool qwen refers to its pickers (was old-epp); failureMode stays FailClose",
            "pool qwen refers to its pickers (was old-epp); failureMode is FailOpen (was FailClose)",
            "pool qwen refers to its pickers; failureMode is FailClose (was FailOpen)",
            "pool qwen refers to its pickers; failureMode is FailOpen",
        ]
    );
}

#[test]
fn nothing_new_is_no_news() {
    let status =
        status("a", &[("Accepted", "True", "Accepted", ""), ("Programmed", "True", "Programmed", "")]);
    assert_eq!(turned(&status, &status), []);
}

#[test]
fn an_edit_is_two_events() {
    let old = status("a", &[("Programmed", "False", "Pending", "")]);
    let new = status("b", &[("Programmed", "True", "Programmed", "every ready picker serves revision b")]);
    assert_eq!(
        turned(&old, &new),
        [
            StrategyEvent::normal("Accepted", "generation 7 is revision b"),
            StrategyEvent::normal("RevisionProgrammed", "every ready picker serves revision b"),
        ]
    );
}

#[test]
fn every_wrong_edit_is_told() {
    let good = status("a", &[("Accepted", "True", "Accepted", "")]);
    let bad = status("a", &[("Accepted", "False", "InvalidRouting", "plugins[0]")]);
    let worse = status("a", &[("Accepted", "False", "InvalidRouting", "plugins[1]")]);
    assert_eq!(turned(&good, &bad), [StrategyEvent::warning("InvalidRouting", "plugins[0]")]);
    assert_eq!(turned(&bad, &worse), [StrategyEvent::warning("InvalidRouting", "plugins[1]")]);
    assert_eq!(turned(&bad, &bad), []);
}

#[test]
fn what_cannot_be_given_back_is_told_once() {
    let old = status("a", &[("Ready", "True", "Ready", "")]);
    let new = status("a", &[("Ready", "False", "Releasing", "not given back yet: pool x: no")]);
    assert_eq!(turned(&old, &new), [StrategyEvent::warning("Releasing", "not given back yet: pool x: no")]);
    assert_eq!(turned(&new, &new), []);
}

#[test]
fn an_upgrade_that_waits_is_told_once() {
    let old = status("a", &[("Available", "True", "Available", "")]);
    let new = status("a", &[("Available", "True", "UpgradePending", "as an earlier release made them")]);
    let told = [StrategyEvent::normal("UpgradePending", "as an earlier release made them")];
    assert_eq!(turned(&old, &new), told);
    assert_eq!(turned(&new, &new), []);
    assert_eq!(turned(&new, &old), []);
}

#[test]
fn taking_time_is_no_event() {
    let old = status("a", &[]);
    let new =
        status("a", &[("Available", "False", "Progressing", ""), ("PoolsBound", "False", "Pending", "")]);
    assert_eq!(turned(&old, &new), []);
}
