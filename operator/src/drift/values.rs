//! Rules by which two JSON values of a Kubernetes object count as the same: empty values, quantities, keyed lists and
//! defaults.

use serde_json::Value;

/// Values that the API server puts into fields that nobody else has a say in.
const DEFAULTS: &[(&str, &str)] =
    &[("internalTrafficPolicy", "Cluster"), ("sessionAffinity", "None"), ("procMount", "Default")];

/// Whether nobody else has a say in the object at `path`: maps and lists that the API server replaces as a whole, and what
/// gives or limits rights.
pub(super) fn is_whole(path: &str) -> bool {
    let field = last(path);
    is_map_of_strings(field)
        || is_selector(field)
        || ["capabilities", "roleRef", "rules", "seccompProfile", "securityContext", "subjects"].contains(&field)
        // Who may connect, and to what.
        || path.starts_with("spec.ingress[")
}

/// Whether this is a field of a NetworkPolicy with a selector: one that is empty selects everything, and one that is not
/// there something else.
pub(super) fn is_selector(field: &str) -> bool {
    ["namespaceSelector", "podSelector"].contains(&field)
}

/// The last field of a path, without an index.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('.').next().and_then(|last| last.split('[').next()).unwrap_or_default()
}

pub(super) fn is_map_of_strings(field: &str) -> bool {
    ["matchLabels", "nodeSelector", "selector"].contains(&field)
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether the API server doesn't store the value, or stores it as if it were not there.
pub(super) fn is_empty(value: &Value) -> bool {
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
pub(super) fn key_of(path: &str, items: &[Value]) -> Option<&'static str> {
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

pub(super) fn same(live: &Value, wanted: &Value) -> bool {
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
pub(super) fn quantity(text: &str) -> Option<i128> {
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

/// Whether the API server gives the field `name` this value by itself.
pub(super) fn is_default(name: &str, value: &Value) -> bool {
    DEFAULTS.iter().any(|(field, default)| *field == name && value == default)
}
