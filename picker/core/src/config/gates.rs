//! Feature gates of an EndpointPickerConfig: switches of other endpoint pickers. Known ones are taken, with a warning where
//! this picker does something else than they say.

use serde_json::Value;

use super::{ConfigError, ErrorKind};

/// A gate that configurations may name.
struct Gate {
    name: &'static str,
    /// The warning about a configuration that turns it on; empty for none.
    on: &'static str,
    /// The warning about a configuration that turns it off; empty for none.
    off: &'static str,
}

const ALWAYS_ON: &str = "has no effect: what it stands for is always on here; take it out";

/// The gates of the Gateway API Inference Extension from 1.2 on, and of llm-d's router.
const GATES: [Gate; 5] = [
    Gate { name: "dataLayer", on: ALWAYS_ON, off: ALWAYS_ON },
    Gate { name: "prepareDataPlugins", on: ALWAYS_ON, off: ALWAYS_ON },
    Gate {
        name: "flowControl",
        on: "has no effect: this release queues no requests, and each goes to a model server at once; take it out",
        off: "",
    },
    Gate {
        name: "enableLegacyMetrics",
        on: "has no effect: this picker's metrics have one name each; take it out",
        off: "",
    },
    Gate {
        name: "haPopulateNonLeaderDatastore",
        on: "",
        off: "has no effect: every replica knows the endpoints, and decides; take it out",
    },
];

/// Reads one entry of `featureGates`: `name`, `name=true` or `name=false`.
pub(super) fn read(
    path: &str,
    entry: &Value,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigError>,
) {
    let Value::String(text) = entry else {
        let message = format!("must be the name of a feature gate, is {entry}");
        errors.push(ConfigError::new(path, ErrorKind::Invalid, message));
        return;
    };
    let (name, on) = match text.split_once('=') {
        None => (text.trim(), Some(true)),
        Some((name, value)) => (name.trim(), value.trim().to_ascii_lowercase().parse().ok()),
    };
    let Some(gate) = GATES.iter().find(|gate| gate.name == name) else {
        let message = format!("unknown feature gate {name:?}");
        let known = GATES.map(|gate| gate.name);
        errors.push(ConfigError::unknown(path, ErrorKind::Invalid, message, name, ("known", &known)));
        return;
    };
    match on {
        None => {
            let message = format!("{text:?} is neither {name}=true nor {name}=false");
            errors.push(ConfigError::new(path, ErrorKind::Invalid, message));
        }
        Some(on) => {
            let warning = if on { gate.on } else { gate.off };
            if !warning.is_empty() {
                warnings.push(ConfigError::new(path, ErrorKind::Invalid, format!("{name} {warning}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_one(entry: Value) -> (Vec<String>, Vec<String>) {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        read("g", &entry, &mut errors, &mut warnings);
        let texts = |list: Vec<ConfigError>| list.into_iter().map(|error| error.message).collect();
        (texts(errors), texts(warnings))
    }

    #[test]
    fn known_gates_are_taken_in_every_spelling() {
        let always = |name: &str| (vec![], vec![format!("{name} {ALWAYS_ON}")]);
        let silent = (vec![], vec![]);
        for (entry, wanted) in [
            ("dataLayer", always("dataLayer")),
            ("dataLayer=true", always("dataLayer")),
            (" prepareDataPlugins = False ", always("prepareDataPlugins")),
            ("flowControl=false", silent.clone()),
            ("flowControl = TRUE", (vec![], vec![format!("flowControl {}", GATES[2].on)])),
            ("haPopulateNonLeaderDatastore", silent),
        ] {
            assert_eq!(read_one(json!(entry)), wanted, "{entry}");
        }
    }

    #[test]
    fn other_gates_and_values_are_errors() {
        let error = |message: &str| (vec![message.to_owned()], vec![]);
        for (entry, wanted) in [
            (
                json!("flowControl=yes"),
                "\"flowControl=yes\" is neither flowControl=true nor flowControl=false",
            ),
            (json!("flowContrl=true"), "unknown feature gate \"flowContrl\"; the nearest is \"flowControl\""),
            (json!("qwerty"), "unknown feature gate \"qwerty\""),
            (json!({"flowControl": true}), "must be the name of a feature gate, is {\"flowControl\":true}"),
        ] {
            assert_eq!(read_one(entry.clone()), error(wanted), "{entry}");
        }
    }
}
