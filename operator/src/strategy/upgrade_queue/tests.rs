use serde_json::json;

use super::*;

fn deployment(uid: &str, asked: &str, template: Value) -> DynamicObject {
    let mut object = serde_json::from_value(json!({
        "metadata": {"name": "x", "uid": uid, "generation": 2,
            "annotations": {ASKED: asked, TEMPLATE: template.to_string()}},
        "spec": {"replicas": 2, "template": template},
    }))
    .unwrap();
    drift::seal(&mut object);
    object
}

fn picker(image: &str, probe: u8) -> Value {
    json!({"spec": {"containers": [{"name": "picker", "image": image, "readinessProbe": {"periodSeconds": probe}}]}})
}

fn with_status(mut deployment: DynamicObject, updated: u8, total: u8) -> Arc<DynamicObject> {
    deployment.data["status"] = json!({
        "observedGeneration": 2, "replicas": total, "updatedReplicas": updated, "readyReplicas": 2,
    });
    Arc::new(deployment)
}

/// Whether it is the turn of `live`, one of `all`.
fn take(queue: &UpgradeQueue, live: &DynamicObject, all: &[Arc<DynamicObject>], now: Instant) -> bool {
    let with_uid = |uid: Option<&str>| -> Vec<Arc<DynamicObject>> {
        all.iter().filter(|d| uid.is_none() || d.metadata.uid.as_deref() == uid).cloned().collect()
    };
    queue.take(live, with_uid, now).is_ok()
}

#[test]
fn one_at_a_time() {
    let (queue, start) = (UpgradeQueue::default(), Instant::now());
    let at_rest = |uid| with_status(deployment(uid, "", picker("a", 1)), 2, 2);
    let (a, b, c) = (at_rest("a"), at_rest("b"), at_rest("c"));
    let before = [a.clone(), b.clone(), c.clone()];
    assert!(take(&queue, &a, &before, start));
    assert!(take(&queue, &a, &before, start));
    // The cache doesn't show yet what was written.
    assert!(!take(&queue, &b, &before, start));
    let rolling = [with_status(deployment("a", "", picker("a", 2)), 1, 3), b.clone(), c.clone()];
    assert!(!take(&queue, &b, &rolling, start));
    let rolled = [with_status(deployment("a", "", picker("a", 2)), 2, 2), b.clone(), c.clone()];
    assert!(take(&queue, &b, &rolled, start));
    assert!(!take(&queue, &c, &rolled, start + LONGEST / 2));
    assert!(take(&queue, &c, &rolled, start + LONGEST));
}

#[test]
fn a_rollout_of_whoever_led_before_is_waited_for() {
    let (queue, start) = (UpgradeQueue::default(), Instant::now());
    let own = with_status(deployment("own", "", picker("a", 1)), 2, 2);
    let all = [own.clone(), with_status(deployment("other", "", picker("a", 2)), 1, 3)];
    assert!(!take(&queue, &own, &all, start));
    assert!(!take(&queue, &own, &all, start + LONGEST / 2));
    assert!(take(&queue, &own, &all, start + LONGEST));
}

/// However many wait, they ask no more often than so.
#[test]
fn many_that_wait_ask_more_seldom() {
    let (queue, start) = (UpgradeQueue::default(), Instant::now());
    let rolling = with_status(deployment("other", "", picker("a", 2)), 1, 3);
    let looks = std::cell::Cell::new(0);
    let ask = |number: usize| {
        let live = deployment(&format!("uid-{number}"), "", picker("a", 1));
        let all = |_: Option<&str>| {
            looks.set(looks.get() + 1);
            vec![rolling.clone()]
        };
        queue.take(&live, all, start).unwrap_err()
    };
    assert_eq!((0..40).map(ask).max(), Some(AGAIN));
    assert_eq!((0..400).map(ask).max(), Some(Duration::from_secs(20)));
    assert_eq!(looks.get(), 1);
    queue.prune(|uid| uid == "uid-1");
    assert_eq!(ask(1), AGAIN);
}

#[test]
fn a_release_that_changes_anything_of_the_pods_is_an_upgrade() {
    let live = deployment("x", "asked", picker("pinned", 1));
    let mut stored = live.clone();
    // What others do to the live template is no part of what was built.
    stored.data["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
    stored.data["spec"]["template"]["spec"]["hostNetwork"] = true.into();
    let wanted = deployment("x", "asked", picker("pinned", 2));
    assert_eq!(postponed(&stored, &wanted).as_ref(), Some(&live));
    assert_eq!(postponed(&stored, &live), None);
}

#[test]
fn what_does_not_roll_is_not_postponed() {
    let live = deployment("x", "asked", picker("a", 1));
    let mut wanted = deployment("x", "asked", picker("a", 2));
    wanted.data["spec"]["replicas"] = 5.into();
    let postponed = postponed(&live, &wanted).unwrap();
    assert_eq!(postponed.data["spec"]["replicas"], json!(5));
    assert_eq!(postponed.data["spec"]["template"], live.data["spec"]["template"]);
}

#[test]
fn what_the_strategy_asks_for_is_no_upgrade() {
    let live = deployment("x", "asked", picker("a", 1));
    assert_eq!(postponed(&live, &deployment("x", "other", picker("b", 1))), None);
    let mut older = live.clone();
    older.metadata.annotations.as_mut().unwrap().remove(TEMPLATE);
    assert_eq!(postponed(&older, &deployment("x", "asked", picker("b", 1))), None);
}
