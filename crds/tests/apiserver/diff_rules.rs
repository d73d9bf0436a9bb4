//! How tools find out whether an object of a cluster is as its manifest says, by their published rules: the three-way merge
//! of `kubectl apply` and of Argo CD, and Argo CD's server-side diff.

use serde_json::{Map, Value};

/// What is live after a three-way merge of `manifest` into it, as `kubectl apply` and Argo CD's diff without server-side
/// apply predict it for a custom resource (`jsonmergepatch.CreateThreeWayJSONMergePatch` of apimachinery): fields that
/// `last`, the manifest applied last, had and `manifest` has not are removed, those of `manifest` are set.
pub fn three_way(last: &Value, manifest: &Value, live: &Value) -> Value {
    let (last, manifest) = (&plain(last), &plain(manifest));
    let added = keep(merge_patch(live, manifest), false).unwrap_or_default();
    let removed = keep(merge_patch(last, manifest), true).unwrap_or_default();
    let mut predicted = live.clone();
    for patch in [added, removed] {
        apply(&mut predicted, &patch);
    }
    predicted
}

/// A manifest without its namespace and without annotations of which there are none, which kubectl writes into what it
/// applied last; both are left out of the comparison.
fn plain(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("namespace");
        if metadata.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty) {
            metadata.remove("annotations");
        }
    }
    manifest
}

/// The JSON merge patch (RFC 7396) from `from` to `to`; lists are values.
fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for (name, value) in to {
        match from.get(name) {
            Some(known) if known == value => {}
            Some(known) if known.is_object() && value.is_object() => {
                patch.insert(name.clone(), merge_patch(known, value));
            }
            _ => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    let gone = from.keys().filter(|name| !to.contains_key(*name));
    patch.extend(gone.map(|name| (name.clone(), Value::Null)));
    Value::Object(patch)
}

/// Of a patch, its removals or all but these; none where nothing is left.
fn keep(patch: Value, removals: bool) -> Option<Value> {
    match patch {
        Value::Null => removals.then_some(Value::Null),
        Value::Object(fields) => {
            let kept: Map<_, _> =
                fields.into_iter().filter_map(|(name, value)| Some((name, keep(value, removals)?))).collect();
            (!removals || !kept.is_empty()).then_some(Value::Object(kept))
        }
        value => (!removals).then_some(value),
    }
}

fn apply(at: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return };
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    let Some(fields) = at.as_object_mut() else { return };
    for (name, value) in patch {
        match value {
            Value::Null => {
                fields.remove(name);
            }
            Value::Object(_) => apply(fields.entry(name).or_insert(Value::Null), value),
            value => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

/// An object without what changes at every write and what the operator says of it.
pub fn compared(object: &Value) -> Value {
    let mut object = object.clone();
    // The operator puts its finalizer in a moment after an object was applied.
    for field in ["managedFields", "resourceVersion", "generation", "finalizers"] {
        object["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
    }
    object.as_object_mut().map(|fields| fields.remove("status"));
    object
}

#[test]
fn a_three_way_merge_removes_what_was_applied_and_keeps_the_rest() {
    use serde_json::json;
    let last = json!({"spec": {"a": 1, "b": {"x": 1}, "l": [{"n": 1}]}});
    let manifest = json!({"spec": {"b": {"y": 2}, "l": [{"n": 1}], "e": {}}});
    let live = json!({"spec": {"a": 1, "b": {"x": 1, "z": 3}, "l": [{"n": 1, "group": "g"}]}, "other": true});
    let predicted = json!({"spec": {"b": {"z": 3, "y": 2}, "l": [{"n": 1}], "e": {}}, "other": true});
    assert_eq!(three_way(&last, &manifest, &live), predicted);
}
