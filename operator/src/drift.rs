//! Whether an object in the cluster still is what was applied, told without asking the API server.

use kube::core::DynamicObject;
use serde_json::Value;

mod excess;

pub use excess::{Excess, excess};

/// Annotation with a hash of what was applied. It differs when a field was taken out of what is
/// wanted, which can't be seen in the object.
pub const APPLIED: &str = "waypost.dev/applied";

/// Puts the hash of `wanted` into its annotations.
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
        .or_else(|| {
            let missing = |owner| !live_meta.owner_references.iter().flatten().any(|o| o == owner);
            let gone = wanted_meta.owner_references.iter().flatten().any(missing);
            gone.then(|| "metadata.ownerReferences".to_owned())
        })
        .or_else(|| differs("", &live.data, &wanted.data))
}

/// Path of the first field of `wanted` that `live` doesn't have with that value.
pub(crate) fn differs(path: &str, live: &Value, wanted: &Value) -> Option<String> {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let mut differing = wanted.iter().filter_map(|(name, wanted)| {
                differs(&join(path, name), live.get(name).unwrap_or(&Value::Null), wanted)
            });
            let is_added = |name: &str, value: &Value| {
                !wanted.contains_key(name)
                    && (is_map_of_strings(last(path)) || !is_empty(value) && !excess::is_default(name, value))
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

/// Objects in which nobody else has a say: maps and lists that the API server replaces as a whole, and what
/// gives or limits rights.
fn is_whole(path: &str) -> bool {
    let field = last(path);
    is_map_of_strings(field)
        || ["capabilities", "roleRef", "rules", "seccompProfile", "securityContext", "subjects"]
            .contains(&field)
}

/// The last field of a path, without an index.
fn last(path: &str) -> &str {
    path.rsplit('.').next().and_then(|last| last.split('[').next()).unwrap_or_default()
}

fn is_map_of_strings(field: &str) -> bool {
    ["matchLabels", "nodeSelector", "selector"].contains(&field)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// What the API server doesn't store.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// The key of a list whose entries may belong to several managers, by the field's name; of other lists
/// the whole is one value.
fn key_of(path: &str, items: &[Value]) -> Option<&'static str> {
    let key = match path.rsplit('.').next()? {
        "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets" => {
            "name"
        }
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" if path.contains("ontainers[") => "containerPort",
        "ports" => "port",
        "hostAliases" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    };
    // Keys may repeat (a port in two protocols): then the order has to do.
    let keys: Vec<_> = items.iter().map(|item| &item[key]).collect();
    let distinct = keys.iter().enumerate().all(|(i, k)| !k.is_null() && !keys[..i].contains(k));
    distinct.then_some(key)
}

fn same(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => a == b || quantity(a).is_some() && quantity(a) == quantity(b),
        (Value::String(text), number @ Value::Number(_))
        | (number @ Value::Number(_), Value::String(text)) => {
            quantity(text).is_some() && quantity(text) == quantity(&number.to_string())
        }
        (a, b) => a == b,
    }
}

/// A Kubernetes quantity in thousandths: the API server rewrites `0.5` to `500m`.
fn quantity(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if digits.is_empty() || digits.len() > 20 || fraction.len() > 9 {
        return None;
    }
    let (scale, base) = match suffix {
        "m" => (1, 1),
        "" => (1000, 1),
        "k" => (1000, 1000),
        "M" => (1000, 1000_i128.pow(2)),
        "G" => (1000, 1000_i128.pow(3)),
        "T" => (1000, 1000_i128.pow(4)),
        "Ki" => (1000, 1024),
        "Mi" => (1000, 1024_i128.pow(2)),
        "Gi" => (1000, 1024_i128.pow(3)),
        "Ti" => (1000, 1024_i128.pow(4)),
        _ => return None,
    };
    let power = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = number * scale * base;
    // Finer than a thousandth: rounded up, as the API server does.
    Some(scaled / power + i128::from(scaled % power != 0))
}

#[cfg(test)]
mod tests;
