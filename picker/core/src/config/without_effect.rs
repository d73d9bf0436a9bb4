//! Sections of an EndpointPickerConfig that this release takes without effect: flow control, and what replicas of llm-d's
//! picker tell each other. Their fields are checked, so that what is misspelt is told before they take effect.

use serde_json::Value;

use super::fields::Fields;
use super::{ConfigError, ErrorKind};

/// The name of a plugin in a section without effect.
#[derive(Debug)]
pub(crate) struct Mention {
    /// The field.
    pub path: String,
    /// The name.
    pub name: String,
}

const QUEUES: &str =
    "has no effect: this release queues no requests, and each goes to a model server at once";
const REPLICAS: &str = "has no effect: replicas of this picker tell each other nothing";

/// Takes the sections of `fields`, and returns the plugins that they name. Nobody is told to write them.
pub(super) fn sections(
    fields: &mut Fields<'_>,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigError>,
) -> Vec<Mention> {
    let mut mentions = Vec::new();
    for (name, why, read) in [
        ("flowControl", QUEUES, flow_control as Read),
        // Until 0.8 of llm-d's router.
        ("saturationDetector", QUEUES, reference),
    ] {
        let (path, Some(section)) = (fields.at(name), fields.take_former(name)) else { continue };
        if section.is_null() {
            continue;
        }
        warnings.push(ConfigError::new(&path, ErrorKind::Invalid, why));
        read(&path, section, errors, &mut mentions);
    }
    mentions
}

/// Takes what `fields` of the section `dataLayer` say of replicas.
pub(super) fn of_data_layer(
    fields: &mut Fields<'_>,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigError>,
) {
    for name in ["peerDiscovery", "crossReplicaSyncerPluginRef", "crossReplicaSyncInterval"] {
        let (path, Some(value)) = (fields.at(name), fields.take(name)) else { continue };
        warnings.push(ConfigError::new(&path, ErrorKind::Invalid, REPLICAS));
        if name == "peerDiscovery" {
            reference(&path, value, errors, &mut Vec::new());
        }
    }
}

type Read = fn(&str, &Value, &mut Vec<ConfigError>, &mut Vec<Mention>);

fn flow_control(path: &str, value: &Value, errors: &mut Vec<ConfigError>, mentions: &mut Vec<Mention>) {
    let Some(mut fields) = Fields::open(path, value, errors) else { return };
    for name in ["maxBytes", "maxRequests", "defaultRequestTTL", "noEndpointRequestTTL"] {
        fields.take(name);
    }
    fields.flag("enableEviction", errors);
    mention(&mut fields, "usageLimitPolicyPluginRef", errors, mentions);
    for name in ["defaultPriorityBand", "defaultNegativePriorityBand"] {
        if let Some(value) = fields.take(name).filter(|value| !value.is_null()) {
            band(&fields.at(name), value, errors, mentions);
        }
    }
    if let Some(value) = fields.take("saturationDetector").filter(|value| !value.is_null()) {
        reference(&fields.at("saturationDetector"), value, errors, mentions);
    }
    let mut priorities: Vec<Value> = Vec::new();
    fields.list("priorityBands", errors, |path, value, errors| {
        band(path, value, errors, mentions);
        let Some(priority) = value.get("priority") else { return };
        if priorities.contains(priority) {
            let message = format!("{priority} is the priority of an earlier band; each has its own");
            errors.push(ConfigError::new(format!("{path}.priority"), ErrorKind::Duplicate, message));
        }
        priorities.push(priority.clone());
    });
    fields.close(errors);
}

fn band(path: &str, value: &Value, errors: &mut Vec<ConfigError>, mentions: &mut Vec<Mention>) {
    let Some(mut fields) = Fields::open(path, value, errors) else { return };
    for name in ["priority", "maxBytes", "maxRequests"] {
        fields.take(name);
    }
    for name in ["fairnessPolicyRef", "orderingPolicyRef"] {
        mention(&mut fields, name, errors, mentions);
    }
    fields.close(errors);
}

/// A mapping with a `pluginRef`.
fn reference(path: &str, value: &Value, errors: &mut Vec<ConfigError>, mentions: &mut Vec<Mention>) {
    let Some(mut fields) = Fields::open(path, value, errors) else { return };
    let name = fields.required("pluginRef", errors);
    mentions.extend(name.map(|name| Mention { path: fields.at("pluginRef"), name }));
    fields.close(errors);
}

fn mention(
    fields: &mut Fields<'_>,
    field: &'static str,
    errors: &mut Vec<ConfigError>,
    mentions: &mut Vec<Mention>,
) {
    let name = fields.string(field, errors);
    mentions.extend(name.map(|name| Mention { path: fields.at(field), name }));
}
