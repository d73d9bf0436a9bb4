//! Comparison of an object in the cluster with the one that was applied, without asking the API server.

use kube::core::DynamicObject;
use serde_json::Value;

mod excess;
mod values;

pub use excess::{Excess, excess};
use values::{is_default, is_empty, is_map_of_strings, is_selector, is_whole, join, key_of, last, same};

/// Annotation with a hash of what was applied. It differs when a field was taken out of what is
/// wanted, which can't be seen in the object.
pub const APPLIED: &str = "waypost.dev/applied";

/// Adds the annotation with its hash to `wanted`.
pub fn seal(wanted: &mut DynamicObject) {
    wanted.metadata.annotations.get_or_insert_default().remove(APPLIED);
    let content = serde_json::to_value(&*wanted).unwrap_or_default();
    let hash = picker_core::config::revision(&content);
    wanted.metadata.annotations.get_or_insert_default().insert(APPLIED.to_owned(), hash);
}

/// Path of the first field of `wanted` (see [`seal`]) that `live` doesn't have as wanted; `None` when
/// nothing has to be done. Fields that `wanted` doesn't mention belong to others, but for those that [`excess`]
/// finds; entries of a list that it does mention don't.
pub fn find(live: &DynamicObject, wanted: &DynamicObject) -> Option<String> {
    let part = |metadata: &Option<_>| serde_json::to_value(metadata).unwrap_or_default();
    let (live_meta, wanted_meta) = (&live.metadata, &wanted.metadata);
    differs("metadata.labels", &part(&live_meta.labels), &part(&wanted_meta.labels))
        .or_else(|| {
            let (live, wanted) = (&live_meta.annotations, &wanted_meta.annotations);
            differs(
                "metadata.annotations",
                &serde_json::to_value(live).unwrap_or_default(),
                &serde_json::to_value(wanted).unwrap_or_default(),
            )
        })
        .or_else(|| differs("", &live.data, &wanted.data))
}

/// Path of the first field of `wanted` that `live` doesn't have with that value.
pub(crate) fn differs(path: &str, live: &Value, wanted: &Value) -> Option<String> {
    match (live, wanted) {
        (Value::Null, Value::Object(_)) if is_selector(last(path)) => Some(path.to_owned()),
        (Value::Object(live), Value::Object(wanted)) => {
            let mut differing = wanted.iter().filter_map(|(name, wanted)| {
                differs(&join(path, name), live.get(name).unwrap_or(&Value::Null), wanted)
            });
            let is_added = |name: &str, value: &Value| {
                !wanted.contains_key(name)
                    && (is_map_of_strings(last(path))
                        || is_selector(name) && !value.is_null()
                        || !is_empty(value) && !is_default(name, value))
            };
            let foreign = || {
                let mut added = live.iter().filter(|(name, value)| is_added(name, value));
                added.next().map(|(name, _)| join(path, name))
            };
            differing.next().or_else(|| if is_whole(path) { foreign() } else { None })
        }
        (_, wanted) if is_empty(wanted) => (!is_empty(live) && !wanted.is_null()).then(|| path.to_owned()),
        (Value::Array(live), Value::Array(wanted)) if live.len() > wanted.len() => Some(path.to_owned()),
        (Value::Array(live), Value::Array(wanted)) => match key_of(path, wanted) {
            Some(key) => wanted.iter().find_map(|wanted| {
                let path = format!("{path}[{}]", wanted[key].to_string().trim_matches('"'));
                match live.iter().find(|live| same(&live[key], &wanted[key])) {
                    Some(live) => differs(&path, live, wanted),
                    None => Some(path),
                }
            }),
            None if live.len() != wanted.len() => Some(path.to_owned()),
            None => (0..wanted.len()).find_map(|i| differs(&format!("{path}[{i}]"), &live[i], &wanted[i])),
        },
        (live, wanted) => (!same(live, wanted)).then(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests;
