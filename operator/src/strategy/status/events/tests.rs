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
            pool: "qwen".to_owned(),
            before: text(former),
            former_mode: text(former_mode),
            mode: text(Some(mode)),
            ..BoundPool::default()
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

/// A status with pools: name, state, reason and message of each.
fn with_pools(pools: &[(&str, &str, &str, &str)]) -> RoutingStrategyStatus {
    let pools: Vec<_> = pools
        .iter()
        .map(|(name, state, reason, message)| {
            json!({"name": name, "bound": false, "state": state, "reason": reason, "message": message})
        })
        .collect();
    serde_json::from_value(json!({"observedGeneration": 7, "pools": pools})).unwrap()
}

#[test]
fn what_is_wrong_with_pools_is_told_once_for_all_that_have_it() {
    let waits = ("c", "Waiting", "Pending", "pool c is bound later");
    let image = |name| (name, "Waiting", "ImagePullBackOff", "no image");
    let old = with_pools(&[waits]);
    let new = with_pools(&[image("a"), image("b"), waits]);
    assert_eq!(turned(&old, &new), [StrategyEvent::warning("ImagePullBackOff", "pools a, b: no image")]);
    assert_eq!(turned(&new, &new), []);
    // The next one has it from the same cause.
    assert_eq!(turned(&new, &with_pools(&[image("a"), image("b"), image("c")])), []);
    let crash = ("a", "Waiting", "CrashLoopBackOff", "it ended");
    let told = StrategyEvent::warning("CrashLoopBackOff", "pool a: it ended");
    assert_eq!(turned(&new, &with_pools(&[crash, image("b"), waits])), [told]);
}

#[test]
fn a_pool_that_is_left_to_another_is_one_event() {
    let message = "helm sets endpointPickerRef of pool a back; do this";
    let contested = ("a", "Contested", "FieldManagedElsewhere", message);
    let mut new = with_pools(&[contested]);
    let condition = |name: &str, status: &str| {
        json!({"type": name, "status": status, "reason": "FieldManagedElsewhere", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let conditions = json!([condition("PoolsBound", "False"), condition("Contested", "True")]);
    new.conditions = serde_json::from_value(conditions).unwrap();
    let old = with_pools(&[("a", "Ready", "", "")]);
    let told = StrategyEvent::warning("Contested", format!("pool a: {message}"));
    assert_eq!(turned(&old, &new), std::slice::from_ref(&told));
    // From elsewhere to contested is a turn too.
    assert_eq!(turned(&with_pools(&[("a", "Elsewhere", "FieldManagedElsewhere", "x")]), &new), [told]);
}

#[test]
fn no_two_events_have_one_text() {
    let text = "Service qwen-picker is not this strategy's";
    let new =
        status("a", &[("Available", "False", "NameTaken", text), ("PoolsBound", "False", "Conflict", text)]);
    assert_eq!(turned(&status("a", &[]), &new), [StrategyEvent::warning("NameTaken", text)]);
}

#[test]
fn the_first_retake_is_told() {
    let [pool, picker, before] = ["qwen", "qwen-picker", "old-epp"].map(str::to_owned);
    let bound = BoundPool { pool, picker, before: Some(before), ..BoundPool::default() };
    let retaken = BoundPool { flipped_by: Some("helm".to_owned()), ..bound.clone() };
    let note = "helm had set pool qwen to old-epp; it refers to qwen-picker again. Name qwen-picker where helm has it from: \
                when helm does so once more within 24 hours, the pool is left to it";
    let told = pools(&Outcome { bound: vec![bound, retaken], ..Outcome::default() });
    let first = StrategyEvent::normal("PoolBound", "pool qwen refers to its pickers (was old-epp)");
    assert_eq!(told, [first, StrategyEvent::warning("PoolRetaken", note)]);
}
