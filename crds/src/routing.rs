//! The routing body inside a RoutingStrategy.

use std::borrow::Cow;

use picker_core::Routing;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::schema::{MAX_FIELDS, rule};

/// A routing body exactly as the API server stores it. Kept as plain JSON, so that its revision
/// ([`picker_core::config::revision`]) is that of the stored form and a field that this release doesn't
/// know is not lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoutingBody(pub Value);

impl Default for RoutingBody {
    /// What the API server fills in where a strategy has none.
    fn default() -> Self {
        Self(picker_core::compile::default_routing())
    }
}

/// Bounds that keep the estimated cost of the rules below within the API server's budget.
const MAX_PLUGINS: u32 = 128;
const MAX_PROFILES: u32 = 16;
const MAX_REFS: u32 = 32;
const MAX_NAME: u32 = 63;

impl JsonSchema for RoutingBody {
    fn schema_name() -> Cow<'static, str> {
        "Routing".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// The schema of [`Routing`], bounded, with the rules that one object can check by itself.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Routing::json_schema(generator);
        let routing = schema.ensure_object();
        routing.insert("x-kubernetes-validations".into(), rules());
        let Some(properties) = fields(routing) else { return schema };
        if let Some(plugins) = list(properties, "plugins", MAX_PLUGINS) {
            name(plugins, "type");
            name(plugins, "name");
            if let Some(parameters) = plugins.get_mut("parameters") {
                let description = parameters.get("description").cloned();
                *parameters = json!({
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                    "x-kubernetes-map-type": "atomic",
                    "maxProperties": MAX_FIELDS,
                });
                parameters["description"] = description.unwrap_or_default();
            }
        }
        if let Some(profiles) = list(properties, "schedulingProfiles", MAX_PROFILES) {
            name(profiles, "name");
            if let Some(refs) = list(profiles, "plugins", MAX_REFS) {
                name(refs, "pluginRef");
            }
        }
        let handler = properties.get_mut("requestHandler").and_then(Value::as_object_mut);
        if let Some(parsers) = handler.and_then(fields).and_then(|handler| list(handler, "parsers", MAX_REFS))
        {
            name(parsers, "pluginRef");
        }
        schema
    }
}

fn rules() -> Value {
    let called = |p: &str| format!("(has({p}.name) ? {p}.name : {p}.type)");
    let (p, q) = (called("p"), called("q"));
    json!([
        rule(
            &format!("!has(self.plugins) || self.plugins.all(p, self.plugins.exists_one(q, {q} == {p}))"),
            "plugins must have different names; the name of one without a name is its type",
            ".plugins",
        ),
        rule(
            "!has(self.schedulingProfiles) || self.schedulingProfiles.all(s, \
             self.schedulingProfiles.exists_one(t, t.name == s.name))",
            "profiles must have different names",
            ".schedulingProfiles",
        ),
        rule(
            &format!(
                "!has(self.schedulingProfiles) || self.schedulingProfiles.all(s, !has(s.plugins) || \
                 s.plugins.all(r, has(self.plugins) && self.plugins.exists(p, {p} == r.pluginRef)))"
            ),
            "each pluginRef must be the name of an entry of plugins",
            ".schedulingProfiles",
        ),
    ])
}

fn fields(object: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    object.get_mut("properties")?.as_object_mut()
}

/// Bounds the list called `name` and returns the properties of its items.
fn list<'a>(
    properties: &'a mut Map<String, Value>,
    name: &str,
    max: u32,
) -> Option<&'a mut Map<String, Value>> {
    let list = properties.get_mut(name)?.as_object_mut()?;
    list.insert("maxItems".into(), max.into());
    list.insert("x-kubernetes-list-type".into(), "atomic".into());
    // An absent list and an empty one mean the same, and only the absent one is no part of the revision.
    list.remove("default");
    fields(list.get_mut("items")?.as_object_mut()?)
}

fn name(properties: &mut Map<String, Value>, name: &str) {
    if let Some(Value::Object(property)) = properties.get_mut(name) {
        property.insert("minLength".into(), 1.into());
        property.insert("maxLength".into(), MAX_NAME.into());
    }
}
