use crds::PoolGroup;
use kube::runtime::watcher::Event::{self, Apply, Delete, InitDone};
use picker_core::Request;
use serde_json::{Value, json};

use super::*;

fn pool() -> PoolRef {
    PoolRef { group: PoolGroup::V1, namespace: "llm".to_owned(), name: "qwen".to_owned() }
}

fn object(name: &str, created: u32, spec: Value) -> RawObject {
    let created = format!("2026-01-01T00:00:{created:02}Z");
    serde_json::from_value(json!({"metadata": {"name": name, "creationTimestamp": created}, "spec": spec}))
        .unwrap()
}

/// An InferenceModelRewrite with one rule for `model` (for all if it is empty).
fn rewrite(name: &str, created: u32, model: &str, targets: Value) -> RawObject {
    let matches = if model.is_empty() { json!([]) } else { json!([{"model": {"value": model}}]) };
    let rules = json!([{"matches": matches, "targets": targets}]);
    object(name, created, json!({"poolRef": {"name": "qwen"}, "rules": rules}))
}

fn to(model: &str) -> Value {
    json!([{"modelRewrite": model}])
}

impl Objects {
    fn rewritten(&mut self, event: Event<RawObject>) -> bool {
        self.rewrites.learn(event, |object| read_rewrite(&pool(), object))
    }

    fn modelled(&mut self, event: Event<RawObject>) -> bool {
        self.models.learn(event, |object| read_model(&pool(), object))
    }

    /// The rule for each of these models, by name, and the model under which a request for it goes on.
    fn used<const N: usize>(&mut self, models: [&str; N]) -> [(String, String); N] {
        let rules = self.rules();
        models.map(|model| {
            let body = json!({"model": model}).to_string();
            let headers = picker_core::request::Headers::default();
            let request = Request::new(headers, body.into()).unwrap();
            let rule = rules.of(&request);
            let target = rule.and_then(|rule| rule.target(&request)).map_or(model, |target| &target.model);
            (rule.map_or(String::new(), |rule| rule.name.to_string()), target.to_owned())
        })
    }
}

/// The rule that counts first.
fn first(rules: &Rules) -> &Rule {
    rules.iter().next().unwrap()
}

fn used(rule: &str, model: &str) -> (String, String) {
    (rule.to_owned(), model.to_owned())
}

#[test]
fn a_rule_for_a_model_counts_before_one_for_all_and_then_the_oldest_object() {
    let mut objects = Objects::default();
    for event in [
        rewrite("all", 1, "", to("any")),
        rewrite("young", 9, "food", to("food-9")),
        rewrite("old", 3, "food", to("food-3")),
        // As old as another: the name decides.
        rewrite("b", 5, "drink", to("drink-b")),
        rewrite("a", 5, "drink", to("drink-a")),
    ] {
        assert!(objects.rewritten(Apply(event)));
    }
    let expected = [used("old/0", "food-3"), used("a/0", "drink-a"), used("all/0", "any")];
    assert_eq!(objects.used(["food", "drink", "other"]), expected);
    assert_eq!(objects.conflicts.len(), 2);
    assert!(objects.rewritten(Delete(rewrite("old", 3, "food", to("food-3")))));
    assert_eq!(objects.used(["food"]), [used("young/0", "food-9")]);
    let conflict = Conflict { model: "drink".to_owned(), used: "a/0".to_owned(), unused: "b/0".to_owned() };
    assert_eq!(objects.conflicts, BTreeSet::from([conflict]));
    // The kind is taken away.
    assert!(objects.rewritten(InitDone));
    assert_eq!(objects.used(["food"]), [used("", "food")]);
}

#[test]
fn an_inference_model_splits_its_requests_and_says_how_important_they_are() {
    let mut objects = Objects::default();
    let model = |name: &str, created, model: &str, more: Value| {
        let mut spec = json!({"modelName": model, "poolRef": {"name": "qwen"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object(name, created, spec)
    };
    for event in [
        model("a", 1, "a", json!({"criticality": "Critical", "targetModels": [{"name": "a-1"}]})),
        model("b", 1, "b", json!({"criticality": "Sheddable"})),
        model("c", 1, "c", json!({})),
        model("d", 1, "d", json!({"criticality": "Odd"})),
        model("late", 2, "a", json!({"targetModels": [{"name": "a-2"}]})),
    ] {
        assert!(objects.modelled(Apply(event)));
    }
    // Rewrites come first.
    assert!(objects.rewritten(Apply(rewrite("r", 9, "c", to("c-r")))));
    let expected = [used("model/a", "a-1"), used("model/b", "b"), used("r/0", "c-r")];
    assert_eq!(objects.used(["a", "b", "c"]), expected);
    let rules = objects.rules();
    let priorities: Vec<_> = rules.iter().map(|rule| (&*rule.name, rule.priority)).collect();
    assert_eq!(
        priorities,
        [
            ("r/0", None),
            ("model/a", Some(10)),
            ("model/b", Some(-10)),
            ("model/c", Some(0)),
            ("model/d", None),
            ("model/late", Some(0)),
        ]
    );
}

#[test]
fn weights_are_all_or_none() {
    let mut objects = Objects::default();
    let targets = json!([{"modelRewrite": "x", "weight": 3}, {"modelRewrite": "y"}, {"modelRewrite": "z", "weight": 2_000_000}]);
    objects.rewritten(Apply(rewrite("some", 1, "some", targets)));
    objects.rewritten(Apply(rewrite(
        "none",
        1,
        "none",
        json!([{"modelRewrite": "x"}, {"modelRewrite": "y"}]),
    )));
    let rules = objects.rules();
    let weights = |rule: &Rule| rule.targets.iter().map(|target| target.weight).collect::<Vec<_>>();
    let all: Vec<_> = rules.iter().map(|rule| (&*rule.name, weights(rule))).collect();
    assert_eq!(all, [("none/0", vec![1, 1]), ("some/0", vec![3, 0, 1_000_000])]);
}

#[test]
fn counts_outlive_changes_of_other_objects() {
    let mut objects = Objects::default();
    objects.rewritten(Apply(rewrite("a", 1, "a", json!([{"modelRewrite": "x"}, {"modelRewrite": "y"}]))));
    let before = objects.rules();
    objects.rewritten(Apply(rewrite("b", 1, "b", to("z"))));
    let after = objects.rules();
    assert!(Arc::ptr_eq(&first(&before).share, &first(&after).share));
    objects.rewritten(InitDone);
    assert_eq!((objects.rules().iter().len(), objects.shares.len()), (0, 0));
}

#[test]
fn objects_of_other_pools_and_those_that_cannot_be_used_do_not_count() {
    let mut objects = Objects::default();
    let rules = json!([{"targets": [{"modelRewrite": "x"}]}]);
    for spec in [
        json!({"poolRef": {"name": "other"}, "rules": rules}),
        json!({"poolRef": {"name": "qwen", "group": "inference.networking.x-k8s.io"}, "rules": rules}),
        json!({"poolRef": {"name": "qwen"}, "rules": "all"}),
        json!(null),
    ] {
        assert!(!objects.rewritten(Apply(object("a", 1, spec.clone()))), "{spec}");
    }
    // Rules that can't be used are left out, and the others of the object are used.
    let rules = json!([
        {"matches": [{"model": {"type": "Prefix", "value": "q"}}], "targets": [{"modelRewrite": "x"}]},
        {"matches": [{"model": {"value": "q"}}], "targets": []},
        {"matches": [{"model": {"type": "Exact", "value": "q"}}], "targets": [{"modelRewrite": "y"}]},
    ]);
    assert!(objects.rewritten(Apply(object("a", 1, json!({"poolRef": {"name": "qwen"}, "rules": rules})))));
    assert_eq!(objects.used(["q"]), [used("a/2", "y")]);
}
